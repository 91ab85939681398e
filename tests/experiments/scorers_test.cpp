#include "experiments/scorers.h"

#include <gtest/gtest.h>

#include <map>

#include "lib/files.h"
#include "lib/json.h"

namespace surprisal {
namespace {

TEST(Scorers, CotStrictNeedsACharacterAfterTheNumber) {
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is 18."), "18");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is 18"), "1");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is 8"), "[invalid]");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is 8\n"), "[invalid]");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is $18."), "[invalid]");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is 1,234.50. The answer is 2."), "1,234.50.");
  EXPECT_EQ(extract_answer(kCotAnswer, "The answer is x. The answer is -7 m"), "-7");
}

TEST(Scorers, FlexibleTakesTheLastNumberOrSomethingLikeOne) {
  EXPECT_EQ(extract_answer(kFlexibleAnswer, "5 apples and 18."), "18.");
  EXPECT_EQ(extract_answer(kFlexibleAnswer, "it is 18 ..."), "...");
  EXPECT_EQ(extract_answer(kFlexibleAnswer, "7 for $"), "7");
  EXPECT_EQ(extract_answer(kFlexibleAnswer, "20-$5"), "-$5");
  EXPECT_EQ(extract_answer(kFlexibleAnswer, "none"), "[invalid]");
  EXPECT_EQ(extract_answer(kFlexibleAnswer, ""), "[invalid]");
}

TEST(Scorers, LlamaPatternsTakeTheLastMatch) {
  EXPECT_EQ(extract_answer(kCotLlamaAnswer, "The final answer is 1. The final answer is $2"), "$2");
  EXPECT_EQ(extract_answer(kCotLlamaAnswer, "The final answer is **18**"), "[invalid]");
  EXPECT_EQ(extract_answer(kLlamaAnswer, "My final answer is 3. final answer is 4"), "4");
  EXPECT_EQ(extract_answer(kHashesAnswer, "#### 3 #### 4"), "3");
}

TEST(Scorers, ExactMatchComparesTextNotNumbers) {
  EXPECT_TRUE(exact_match("1,018.", "so\n#### $1018"));
  EXPECT_FALSE(exact_match("18.00", "#### 18"));
  EXPECT_FALSE(exact_match("[invalid]", "#### 18"));
  EXPECT_TRUE(exact_match("18", "#### 1\n#### 18")) << "everything up to the last #### goes";
  EXPECT_TRUE(exact_match("[INVALID]", "[invalid]"));
}

TEST(Scorers, ALongResponseIsNoDanger) {
  const std::string digits(5'000'000, '7');
  EXPECT_EQ(extract_answer(kFlexibleAnswer, digits), digits);
  EXPECT_EQ(extract_answer(kCotAnswer, std::string(5'000'000, '-')), "[invalid]");
}

TEST(Scorers, VerdictsOfAllThree) {
  const Score right = score_answer(kCotAnswer, "6 * 3 = 18. The answer is $18.00.", "#### 18");
  EXPECT_FALSE(right.strict);
  EXPECT_FALSE(right.flexible);
  EXPECT_TRUE(right.numeric);
  EXPECT_TRUE(right.valid);
  EXPECT_EQ(right.extracted_strict, "[invalid]");
  EXPECT_EQ(right.extracted_flexible, "$18.00.");
  EXPECT_EQ(right.extracted_numeric, "18");
  EXPECT_FALSE(score_answer(kCotAnswer, "I do not know", "18").valid);
  EXPECT_FALSE(score_answer(kCotAnswer, "I do not know", "nothing to compare with").numeric);
}

/// Fixture: tests/oracle/compare_lm_eval.py vectors, from lm-evaluation-harness 0.4.13 itself.
TEST(Scorers, AgreeWithTheHarnessOnFuzzedText) {
  const std::map<std::string, AnswerPattern> patterns = {{"gsm8k", kHashesAnswer},
                                                         {"gsm8k_cot", kCotAnswer},
                                                         {"gsm8k_cot_llama", kCotLlamaAnswer},
                                                         {"gsm8k_cot_zeroshot", kCotAnswer},
                                                         {"gsm8k_llama", kLlamaAnswer}};
  const Json vectors =
      read_json_file(SURPRISAL_SOURCE_DIR "/tests/experiments/fixtures/answer_vectors.json");
  size_t found = 0;
  for (const Json& vector : vectors.at("vectors")) {
    const std::string response = vector.at("response"), target = vector.at("target");
    const Score score = score_answer(patterns.at(vector.at("pattern")), response, target);
    EXPECT_EQ(score.extracted_strict, vector.at("strict").at(0)) << vector;
    EXPECT_EQ(score.strict, vector.at("strict").at(1)) << vector;
    EXPECT_EQ(score.extracted_flexible, vector.at("flexible").at(0)) << vector;
    EXPECT_EQ(score.flexible, vector.at("flexible").at(1)) << vector;
    found += score.extracted_strict != kInvalidAnswer;
  }
  EXPECT_GE(vectors.at("vectors").size(), 500u);
  EXPECT_GE(found, 100u) << "the vectors hardly test the strict patterns";
}

}  // namespace
}  // namespace surprisal
