// Every committed tokenizer against what tokenizers and sentencepiece made of fuzzed strings
// (tests/oracle/make_tokenizer_fixtures.py).

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "lib/json.h"
#include "lib/tokenizer.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry :
       fs::directory_iterator(SURPRISAL_SOURCE_DIR "/tests/lib/fixtures/tokenizers"))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

class TokenizerFixture : public ::testing::TestWithParam<std::string> {
 protected:
  std::string folder_ = SURPRISAL_SOURCE_DIR "/tests/lib/fixtures/tokenizers/" + GetParam();
  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(folder_);
};

TEST_P(TokenizerFixture, AgreesWithTheReference) {
  std::ifstream cases(folder_ + "/cases.jsonl");
  int checked = 0;
  for (std::string line; std::getline(cases, line); ++checked) {
    const Json json = parse_json(line, "cases.jsonl");
    if (json.contains("text")) {
      EXPECT_EQ(tokenizer_->encode(json["text"].get<std::string>(), json["parse_special"],
                                   json["add_special"]),
                json["expect"]["ids"].get<std::vector<TokenId>>())
          << line;
    } else {
      EXPECT_EQ(tokenizer_->decode(json["ids"].get<std::vector<TokenId>>(), json["skip_special"]),
                json["expect"]["text"].get<std::string>())
          << line;
    }
  }
  EXPECT_GE(checked, 200);
}

TEST_P(TokenizerFixture, StreamIsDecodeAndNeverHalfACharacter) {
  std::mt19937 random(7);
  std::uniform_int_distribution<TokenId> any_id(0,
                                                static_cast<TokenId>(tokenizer_->vocab_size() - 1));
  for (int round = 0; round < 200; ++round) {
    const bool skip_special = round % 2 == 0;
    TextStream stream(*tokenizer_, skip_special);
    std::vector<TokenId> ids;
    std::string streamed;
    for (int i = 0; i < 40; ++i) {
      ids.push_back(any_id(random));
      const std::string part = stream.push(ids.back());
      EXPECT_TRUE(is_valid_utf8(part));
      streamed += part;
    }
    EXPECT_EQ(streamed + stream.finish(), tokenizer_->decode(ids, skip_special));
  }
}

TEST_P(TokenizerFixture, BytesThatAreNotUtf8AreReplacedBeforeEncoding) {
  EXPECT_EQ(tokenizer_->encode("a\xFF\xE2\x82z", true, false),
            tokenizer_->encode("a\xEF\xBF\xBD\xEF\xBF\xBDz", true, false));
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerFixture, ::testing::ValuesIn(fixture_names()),
                         [](const auto& fixture) { return fixture.param; });

}  // namespace
}  // namespace surprisal
