#include "lib/word_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace surprisal {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> words(WordPattern pattern, const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(pattern, text, at);
    out.push_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

TEST(WordSplitter, Gpt2) {
  EXPECT_THAT(words(WordPattern::kGpt2, "Hello  world's 1234!?"),
              ElementsAre("Hello", " ", " world", "'s", " 1234", "!?"));
  EXPECT_THAT(words(WordPattern::kGpt2, "I'LL\n\n x \t"),
              ElementsAre("I", "'", "LL", "\n\n", " x", " \t"));
}

TEST(WordSplitter, Gpt4) {
  EXPECT_THAT(
      words(WordPattern::kGpt4, "I'LL pay 12345\n\n  now!\n\t-x"),
      ElementsAre("I", "'LL", " pay", " ", "123", "45", "\n\n", " ", " now", "!\n", "\t", "-x"));
  EXPECT_THAT(words(WordPattern::kGpt4, " \n \n a'\u017F"),
              ElementsAre(" \n \n", " a", "'\u017F"));  // the long s is an S of another case
}

TEST(WordSplitter, Gpt4DigitTakesNumbersOneByOne) {
  EXPECT_THAT(words(WordPattern::kGpt4Digit, "x12.5"), ElementsAre("x", "1", "2", ".", "5"));
}

TEST(WordSplitter, KnowsOnlyPublishedRegexes) {
  EXPECT_FALSE(find_word_pattern(R"(\p{L}+|\p{N}+)").has_value());
  EXPECT_EQ(find_word_pattern(
                R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"),
            WordPattern::kGpt2);
}

}  // namespace
}  // namespace surprisal
