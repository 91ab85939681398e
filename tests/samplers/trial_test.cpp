#include "samplers/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;

Json trial(const std::string& line) {
  return run_trial(parse_json(quote_non_finite(line), "line"), builtin_samplers(), {});
}

std::string refusal(const std::string& line, ErrorCode code) {
  try {
    trial(line);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << line;
  return "";
}

TEST(Trial, AnswersARow) {
  const Json answer = trial(R"({"probs":[0.25,0,0.75],"sampler":{"type":"greedy"}})");
  EXPECT_EQ(answer["kept_ids"], Json::parse("[2]"));
  EXPECT_EQ(answer["probs"], Json::parse("[0.0,0.0,1.0]"));
  EXPECT_EQ(answer["decision"]["kind"], "emit");
  EXPECT_EQ(answer["decision"]["token"], 2);
  EXPECT_EQ(answer["state"], "none");
  EXPECT_NEAR(answer["metrics"]["entropy"].get<double>(), 0.562335, 1e-6);
}

TEST(Trial, BannedTokensHaveThreeSpellings) {
  for (const char* banned : {"null", "\"-inf\"", "-Infinity", "\"-Infinity\""}) {
    const Json answer =
        trial(std::string(R"({"logits":[)") + banned + R"(,1,1],"sampler":{"type":"chain"}})");
    EXPECT_EQ(answer["kept_ids"], Json::parse("[1,2]"));
  }
  EXPECT_THAT(refusal(R"({"logits":[NaN,1],"sampler":{"type":"chain"}})", ErrorCode::kNumeric),
              HasSubstr("token 0"));
  EXPECT_EQ(quote_non_finite(R"({"a NaN \" -Infinity":NaN})"), R"({"a NaN \" -Infinity":"NaN"})");
}

TEST(Trial, SeedDecides) {
  std::set<int> tokens;
  for (int seed = 0; seed < 40; ++seed) {
    const std::string line =
        R"({"logits":[1,1,1,1],"sampler":{"type":"chain"},"seed":)" + std::to_string(seed) + "}";
    const int token = trial(line)["decision"]["token"];
    EXPECT_EQ(trial(line)["decision"]["token"], token);
    tokens.insert(token);
  }
  EXPECT_EQ(tokens.size(), 4U);
}

TEST(Trial, StepsCarryTheState) {
  const Json answer = trial(
      R"({"sampler":{"type":"quadrant","entropy_cut":1,"think":{"text":"Hm","cap":1,"cooldown":0}},)"
      R"("steps":[{"logits":[1,1,1,1]},{"logits":[1,1,1,1]},{"logits":[9,1,1,1]}]})");
  ASSERT_EQ(answer["steps"].size(), 3U);
  EXPECT_EQ(answer["steps"][0]["decision"]["kind"], "inject");
  EXPECT_EQ(answer["steps"][0]["decision"]["text"], "Hm");
  EXPECT_EQ(answer["steps"][1]["state"], "reflecting");
  EXPECT_EQ(answer["steps"][2]["state"], "low_low");
}

TEST(Trial, AttentionMetrics) {
  const Json answer =
      trial(R"({"logits":[1,2],"sampler":{"type":"greedy"},"attention_scores":[[0,0,5],[0,0,5]],)"
            R"("valid_slots":2})");
  EXPECT_NEAR(answer["metrics"]["attention_entropy"].get<double>(), std::log(2), 1e-6);
  EXPECT_NEAR(answer["metrics"]["attention_agreement"].get<double>(), 1, 1e-6);
}

TEST(Trial, RefusesBadRequests) {
  const std::string greedy = R"("sampler":{"type":"greedy"})";
  refusal("[]", ErrorCode::kConfig);
  refusal("{}", ErrorCode::kConfig);
  refusal("{" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"probs":[1],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":["a"],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[],)" + greedy + "}", ErrorCode::kNumeric);
  refusal(R"({"probs":[-1,2],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"history":[1],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"prompt_length":1,)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"attention_scores":[[1],[1,2]],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"attention_scores":[],)" + greedy + "}", ErrorCode::kConfig);
  refusal(R"({"logits":[1],"attention_scores":[[1]],"valid_slots":2,)" + greedy + "}",
          ErrorCode::kConfig);
  EXPECT_THAT(refusal(R"({"logit":[1],)" + greedy + "}", ErrorCode::kUnknownName),
              HasSubstr("'logits'"));
  refusal(R"({"logits":[1],"sampler":{"type":"gredy"}})", ErrorCode::kUnknownName);
  refusal(R"({"logits":[1],"sampler":{"type":"entropix"},"history":[0]})", ErrorCode::kUnsupported);
  refusal(R"({"logits":[1],"seed":-1,)" + greedy + "}", ErrorCode::kConfig);
}

}  // namespace
}  // namespace surprisal
