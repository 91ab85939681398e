#include "experiments/gsm8k.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "experiments/python_random.h"
#include "lib/error.h"
#include "lib/sha256.h"
#include "tests/real_data.h"

namespace surprisal {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A data folder with a few problems of our own, removed with the test.
class Gsm8k : public testing::Test {
 protected:
  Gsm8k()
      : folder_(std::filesystem::temp_directory_path() /
                ("surprisal_gsm8k_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(folder_);
    write("test.jsonl", R"({"question": "Two and two?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"})"
                        "\n"
                        R"({"question": "A \"thousand\"?", "answer": "#### 1,000", "extra": 1})"
                        "\n");
    std::string train, examples;
    for (int i = 0; i < 8; ++i) {
      const std::string n = std::to_string(i);
      train += R"({"question": "q)" + n + R"(", "answer": "a)" + n + "\"}\n";
      examples += R"({"question": "q)" + n + R"(", "target": "The answer is )" + n + "\"}\n";
    }
    write("train.jsonl", train);
    write("fewshot_cot.jsonl", examples);
    write("fewshot_cot_llama.jsonl", examples);
  }
  ~Gsm8k() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }
  TaskOptions options(const std::string& split = "test") const {
    return {.data = folder_.string(), .split = split};
  }
  /// The code and the message of the error that making a task gives.
  std::pair<ErrorCode, std::string> failure(const std::string& name,
                                            const TaskOptions& given) const {
    try {
      make_gsm8k_task(name, given);
    } catch (const Error& error) {
      return {error.code(), error.what()};
    }
    return {ErrorCode::kInternal, "no error"};
  }

  std::filesystem::path folder_;
};

TEST_F(Gsm8k, ZeroShotAsksTheQuestionAlone) {
  const auto task = make_gsm8k_task("gsm8k_cot_zeroshot", options());
  ASSERT_EQ(task->problems().size(), 2u);
  const Problem& problem = task->problems()[1];
  EXPECT_EQ(problem.doc_id, 1);
  EXPECT_EQ(problem.prompt, "Q: A \"thousand\"?\nA: Let's think step by step.");
  ASSERT_EQ(problem.messages.size(), 1u);
  EXPECT_EQ(problem.messages[0].role, "user");
  EXPECT_EQ(problem.messages[0].content, problem.prompt);
  EXPECT_EQ(problem.target, "#### 1,000");
  EXPECT_EQ(problem.question_sha256, sha256_hex("A \"thousand\"?"));
  EXPECT_EQ(task->data_sha256(), sha256_file((folder_ / "test.jsonl").string()));
  EXPECT_TRUE(task->score(problem, "The answer is 1000.").strict);
}

TEST_F(Gsm8k, FixedExamplesBecomeTurnsOrText) {
  const auto task = make_gsm8k_task("gsm8k_cot", options());
  const Problem& problem = task->problems()[0];
  EXPECT_THAT(problem.prompt, testing::StartsWith("Q: q0\nA: The answer is 0\n\nQ: q1\nA: The"));
  EXPECT_THAT(problem.prompt, testing::EndsWith("is 7\n\nQ: Two and two?\nA:"));
  ASSERT_EQ(problem.messages.size(), 17u);
  EXPECT_EQ(problem.messages[14].content, "Q: q7\nA:");
  EXPECT_EQ(problem.messages[15].role, "assistant");
  EXPECT_EQ(problem.messages[15].content, "The answer is 7");
  EXPECT_EQ(problem.target, "4") << "what follows ####, stripped";
  EXPECT_NE(task->data_sha256(), sha256_file((folder_ / "test.jsonl").string()));
  EXPECT_THAT(make_gsm8k_task("gsm8k_llama", options())->problems()[0].prompt,
              HasSubstr("The answer is 7.\n\nGiven the following problem"));
}

TEST_F(Gsm8k, ExamplesAreDrawnForEveryProblemAndNeverTheProblemItself) {
  const auto task = make_gsm8k_task("gsm8k", options());
  ASSERT_EQ(task->problems()[0].messages.size(), 11u);
  EXPECT_NE(task->problems()[0].messages[0].content, task->problems()[1].messages[0].content);
  const auto train = make_gsm8k_task("gsm8k", options("train"));
  for (const Problem& problem : train->problems()) {
    ASSERT_EQ(problem.messages.size(), 11u);
    for (size_t i = 0; i + 1 < problem.messages.size(); ++i)
      EXPECT_NE(problem.messages[i].content, problem.messages.back().content);
  }
}

TEST_F(Gsm8k, DuplicatesOfTheProblemAreLeftOutOfItsExamples) {
  std::string train;
  for (int i = 0; i < 8; ++i)
    train += i < 3 ? "{\"question\": \"same\", \"answer\": \"same\"}\n"
                   : "{\"question\": \"q" + std::to_string(i) + "\", \"answer\": \"a\"}\n";
  write("train.jsonl", train);
  for (const Problem& problem : make_gsm8k_task("gsm8k", options("train"))->problems())
    EXPECT_EQ(problem.messages.size(), 11u);
}

TEST_F(Gsm8k, BadLinesAreNamed) {
  write("test.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\nnot json\n");
  auto [code, message] = failure("gsm8k_cot_zeroshot", options());
  EXPECT_EQ(code, ErrorCode::kFormat);
  EXPECT_THAT(message, HasSubstr("test.jsonl:2:"));

  write("test.jsonl", "{\"question\": \"q\"}\n");
  EXPECT_THAT(failure("gsm8k", options()).second, HasSubstr("test.jsonl:1: the field 'answer'"));
  write("test.jsonl", "{\"question\": \"q\", \"answer\": 4}\n");
  EXPECT_THAT(failure("gsm8k", options()).second, HasSubstr("'answer' should be a string"));
  write("test.jsonl", "[]\n");
  EXPECT_EQ(failure("gsm8k", options()).first, ErrorCode::kFormat);
  write("test.jsonl", "{\"question\": \"q\", \"answer\": \"a\"}\n\n");
  EXPECT_THAT(failure("gsm8k", options()).second, HasSubstr("test.jsonl:2:"));
  write("test.jsonl", "");
  EXPECT_EQ(failure("gsm8k", options()).first, ErrorCode::kFormat);
  write("test.jsonl", "{\"question\": \"" + std::string(2 << 20, 'x') + "\", \"answer\": \"a\"}");
  EXPECT_EQ(failure("gsm8k", options()).first, ErrorCode::kFormat);
}

TEST_F(Gsm8k, MissingThingsAreNamed) {
  EXPECT_EQ(failure("gsm8k_cott", options()).first, ErrorCode::kUnknownName);
  EXPECT_THAT(failure("gsm8k_cott", options()).second, HasSubstr("did you mean 'gsm8k_cot'"));
  EXPECT_EQ(failure("gsm8k", options("dev")).first, ErrorCode::kConfig);
  EXPECT_EQ(failure("gsm8k", {}).first, ErrorCode::kConfig);
  const auto [code, message] = failure("gsm8k", {.data = "/nowhere"});
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_THAT(message, HasSubstr("/nowhere/test.jsonl: there is no such file"));
  EXPECT_THAT(message, HasSubstr("fetch_data.py gsm8k"));
  std::filesystem::remove(folder_ / "fewshot_cot.jsonl");
  EXPECT_THAT(failure("gsm8k_cot", options()).second, HasSubstr("fewshot_cot.jsonl: there is no"));
  write("fewshot_cot.jsonl", "{\"question\": \"q\", \"target\": \"t\"}\n");
  EXPECT_THAT(failure("gsm8k_cot", options()).second, HasSubstr("1 examples; the task shows 8"));
}

TEST(PythonRandom, DrawsWhatPythonDraws) {
  // python3.11: r = random.Random(1234); r.sample(range(7473), 5) twice; the same with (20), 6
  PythonRandom many(1234);
  EXPECT_THAT(many.sample(7473, 5), ElementsAre(6374, 3610, 957, 61, 742));
  EXPECT_THAT(many.sample(7473, 5), ElementsAre(7462, 6610, 4769, 286, 5501));
  PythonRandom few(1234);
  EXPECT_THAT(few.sample(20, 6), ElementsAre(14, 3, 0, 2, 1, 10));
  EXPECT_THAT(few.sample(20, 6), ElementsAre(2, 3, 11, 7, 0, 15));
  EXPECT_THROW(few.sample(3, 4), Error);
}

/// SHA-256 of all prompts of the test split, one after another, which
/// tests/oracle/compare_lm_eval.py prompts has found equal to lm-evaluation-harness 0.4.13's.
TEST(Gsm8kReal, PromptsAreThoseOfTheHarness) {
  const auto data = test::real_gsm8k();
  if (!data) GTEST_SKIP() << test::kNoGsm8k;
  const std::pair<const char*, const char*> goldens[] = {
      {"gsm8k", "fe55992daa961797e918bae55b1fec70d674ace3e0b1a538d04d52564cb271af"},
      {"gsm8k_cot", "4ff592d05a18e26cdbe68b95cc27e328fd25f842508303b75bf9e56f560e85fc"},
      {"gsm8k_cot_llama", "e4166fe683f54610f81a6681815a5ab684d1a47791831cb557909ae890ec9d35"},
      {"gsm8k_cot_zeroshot", "9bbe7ab1dea3afcb8be2a91d875e1fbbed3b8e570f43f50880153902fb9c33df"},
      {"gsm8k_llama", "16d1658f7c2bff22af34e00f2d7a49253dc1b76e1b978acab715e3a0bcb218e3"}};
  for (const auto& [name, golden] : goldens) {
    const auto task = make_gsm8k_task(name, {.data = data->string()});
    EXPECT_EQ(task->problems().size(), 1319u);
    std::string prompts;
    for (const Problem& problem : task->problems()) prompts += problem.prompt;
    EXPECT_EQ(sha256_hex(prompts), golden) << name;
  }
}

}  // namespace
}  // namespace surprisal
