#include "experiments/record_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "experiments/experiment_config.h"
#include "experiments/latex_answer.h"
#include "experiments/pattern.h"
#include "lib/error.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;
using ::testing::ThrowsMessage;

Json latex_answers() {
  return read_json_file(std::string(SURPRISAL_SOURCE_DIR) +
                        "/tests/experiments/fixtures/latex_answers.json");
}

std::optional<std::string> optional_text(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<std::string>());
}

TEST(LatexAnswer, SpellsAsTheHarnessDoes) {
  const Json fixture = latex_answers();
  ASSERT_GT(fixture.at("normalised").size(), 400u);
  for (const Json& pair : fixture.at("normalised"))
    EXPECT_EQ(normalise_latex(pair.at(0).get<std::string>()), optional_text(pair.at(1))) << pair;
  for (const Json& pair : fixture.at("boxed"))
    EXPECT_EQ(last_boxed(pair.at(0).get<std::string>()), optional_text(pair.at(1))) << pair;
  for (const Json& pair : fixture.at("equal"))
    EXPECT_EQ(latex_equal(pair.at(0).get<std::string>(), pair.at(1).get<std::string>()),
              pair.at(2).get<bool>())
        << pair;
}

TEST(Pattern, FindsTheFirstOrLastAndItsGroup) {
  const Pattern pattern("answer is \\(?([A-Z])|so (\\d+)", "test");
  EXPECT_EQ(pattern.find("the answer is (B), the answer is C", false), "B");
  EXPECT_EQ(pattern.find("the answer is (B), so 12", true), "12");
  EXPECT_EQ(pattern.find("nothing", true), std::nullopt);
  EXPECT_EQ(Pattern("\\d+", "test").find("1 22", true), "22");
}

TEST(Pattern, ALongResponseIsNoDanger) {
  const std::string response = std::string(300'000, 'a') + " the answer is B";
  EXPECT_EQ(Pattern("a+ the answer is ([A-Z])", "test").find(response, true), "B");
}

TEST(Pattern, RefusesWhatItCannotServe) {
  for (const char* bad : {"(a", "(a)\\1", "[z-a]", "*"})
    EXPECT_THAT([&] { Pattern(bad, "task x: extract"); },
                ThrowsMessage<Error>(HasSubstr("task x: extract")))
        << bad;
}

TEST(ChosenLetter, Rules) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"The best answer is C.", "C"},
      {"The answer is (B). No, the answer is **D**", "D"},
      {"Answer: \\boxed{A}", "A"},
      {"B", "B"},
      {" (C) because water boils", "C"},
      {"B. It is hot", "B"},
      {"A man walks", ""},
      {"A", "A"},
      {"A.", "A"},
      {"Because the answer is unknown", ""},
      {"The answer is E", ""},  // of four choices there is no E
      {"the answer is Both", ""},
      {"", ""}};
  for (const auto& [response, letter] : cases)
    EXPECT_EQ(chosen_letter(response, 4), letter) << response;
}

class RecordTasks : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& lines) const {
    std::ofstream(folder_.file(name)) << lines;
  }
  std::unique_ptr<Task> task(const std::string& yaml) const {
    TaskSpec spec;
    spec.node = YAML::Load(yaml);
    spec.node["data"] = folder_.path();
    spec.owner = "task";
    return create_task(builtin_tasks(), spec, "a.yaml", nullptr);
  }
  void expect_refusal(const std::string& yaml, const std::string& message) const {
    EXPECT_THAT([&] { task(yaml); }, ThrowsMessage<Error>(HasSubstr(message)));
  }
  TemporaryFolder folder_;
};

TEST_F(RecordTasks, AnyFile) {
  write("test.jsonl", R"({"q": "1+1?", "a": {"value": 2}, "n": "one"})"
                      "\n"
                      R"({"q": "3*4?", "a": {"value": 12}, "n": "two"})"
                      "\n");
  write("shots.jsonl", "{\"q\": \"2+2?\", \"a\": {\"value\": 4}, \"why\": \"It is 4. #### 4\"}\n");
  const auto made = task(
      "{name: jsonl, template: 'Q: {q} {x\\nA:', answer: a.value, id: n, tags: [n], few_shot: "
      "shots.jsonl, shots: 1, few_shot_answer: why, stop: ['Q:'], extract: 'sum is (\\d+)'}");
  ASSERT_EQ(made->problems().size(), 2u);
  const Problem& problem = made->problems()[1];
  EXPECT_EQ(problem.prompt, "Q: 2+2? {x\\nA: It is 4. #### 4\n\nQ: 3*4? {x\\nA:");
  ASSERT_EQ(problem.messages.size(), 3u);
  EXPECT_EQ(problem.messages[1].content, "It is 4. #### 4");
  EXPECT_EQ(problem.target, "12");
  EXPECT_EQ(problem.tags.at(0).second, "two");
  EXPECT_EQ(made->stop_strings(), std::vector<std::string>{"Q:"});
  const Score score = made->score(problem, "The sum is 11, no: 12.0");
  EXPECT_EQ(score.extracted_strict, "11");
  EXPECT_FALSE(score.strict);
  EXPECT_TRUE(score.numeric);
  EXPECT_FALSE(made->score(problem, "who knows").valid);
}

TEST_F(RecordTasks, ChoicesByLetterIndexAndNumber) {
  const std::string choices = R"("category": "sky", "options": ["red", "green", "blue"])";
  write("test.jsonl", "{\"question\": \"Sky?\", " + choices + ", \"answer\": \"C\"}\n" +
                          "{\"question\": \"Sea?\", " + choices + ", \"answer\": 2}\n" +
                          "{\"question\": \"Air?\", " + choices + ", \"answer\": \"3\"}\n");
  const auto made = task("{name: mmlu_pro}");
  for (const Problem& problem : made->problems()) EXPECT_EQ(problem.target, "C");
  const Problem& problem = made->problems()[0];
  EXPECT_THAT(problem.prompt, HasSubstr("Sky?\nA. red\nB. green\nC. blue\nYour response"));
  const Score right = made->score(problem, "Hm. The best answer is C.");
  EXPECT_TRUE(right.strict && right.flexible && right.numeric && right.valid);
  const Score kind = made->score(problem, "Answer: (C)");
  EXPECT_FALSE(kind.strict);
  EXPECT_TRUE(kind.numeric);
  EXPECT_EQ(kind.extracted_strict, "[invalid]");
  EXPECT_FALSE(made->score(problem, "blue").valid);
}

TEST_F(RecordTasks, ArcLeavesOutWhatHasNotFourChoices) {
  write(
      "test.jsonl",
      R"({"question": "a", "choices": {"text": ["1", "2", "3"], "label": ["A", "B", "C"]}, "answerKey": "A"})"
      "\n"
      R"({"question": "b", "choices": {"text": ["1", "2", "3", "4"], "label": ["1", "2", "3", "4"]}, "answerKey": "4"})"
      "\n");
  const auto made = task("{name: arc_challenge}");
  ASSERT_EQ(made->problems().size(), 1u);
  EXPECT_EQ(made->problems()[0].doc_id, 1);  // its line, whatever was left out
  EXPECT_EQ(made->problems()[0].target, "D");
}

TEST_F(RecordTasks, Math500) {
  write(
      "test.jsonl",
      R"({"problem": "Halve one.", "answer": "\\frac{1}{2}", "subject": "Algebra", "level": 1, "unique_id": "u1"})"
      "\n");
  const auto made = task("{name: math500}");
  const Problem& problem = made->problems().at(0);
  EXPECT_THAT(problem.prompt,
              HasSubstr("Problem:\nHalve one.\n\nPut the final answer in \\boxed{}."));
  EXPECT_TRUE(made->score(problem, "It is \\boxed{\\dfrac12}.").strict);
  EXPECT_TRUE(made->score(problem, "It is \\boxed{0.5}.").numeric);
  EXPECT_FALSE(made->score(problem, "It is 1/3.").numeric);
  EXPECT_FALSE(made->score(problem, "It is half.").valid);
}

TEST_F(RecordTasks, MgsmKnowsItsLanguages) {
  write("mgsm_de.jsonl", "{\"question\": \"Zwei und zwei?\", \"answer_number\": 1004}\n");
  const auto made = task("{name: mgsm, language: de}");
  EXPECT_EQ(made->problems().at(0).prompt, "Frage: Zwei und zwei?\nSchritt-für-Schritt-Antwort:");
  EXPECT_EQ(made->stop_strings(), std::vector<std::string>{"Frage:"});
  EXPECT_TRUE(made->score(made->problems()[0], "Das sind 1,004").numeric);
  expect_refusal("{name: mgsm, language: it}", "language");
}

TEST_F(RecordTasks, RefusesWhatIsWrongWithItsLine) {
  const std::string task_yaml = "{name: jsonl, template: '{q}', answer: a, id: n}";
  write("test.jsonl", "{\"q\": \"x\", \"a\": 1, \"n\": 7}\n{\"q\": \"y\", \"a\": 2, \"n\": 7}\n");
  expect_refusal(task_yaml, "test.jsonl:2: n '7' stands already on line 1");
  write("test.jsonl", "{\"q\": \"x\", \"a\": 1, \"n\": 7}\n{\"q\": \n");
  expect_refusal(task_yaml, "test.jsonl:2");
  write("test.jsonl", "{\"q\": \"x\", \"n\": 7}\n");
  expect_refusal(task_yaml, "test.jsonl:1: the field 'a' is missing");
  write("test.jsonl", "{\"q\": [1], \"a\": 1, \"n\": 7}\n");
  expect_refusal(task_yaml, "test.jsonl:1: the field 'q' should be a string or a number");
  write("test.jsonl", "{\"q\": \"x\", \"a\": 1, \"n\": 7}\n{\"q\": \" \", \"a\": 1, \"n\": 8}\n");
  expect_refusal(task_yaml, "test.jsonl:2: the question is empty");
  write("test.jsonl", "{\"q\": \"x\", \"a\": \"forty\", \"n\": 7}\n");
  expect_refusal(task_yaml, "test.jsonl:1: the answer 'forty' holds no number");
  EXPECT_NO_THROW(
      task("{name: jsonl, template: '{q}', answer: a, scorer: regex, extract: '(.*)'}"));
  for (const char* more :
       {"\n", "[1]\n", "{\"q\": \"y\", \"q\": \"z\", \"a\": 1, \"n\": 8}\n",
        "{\"q\": \"y\xff\", \"a\": 1, \"n\": 8}\n", "{\"q\": \"y\", \"a\": 1, \"n\": 8} {\n",
        "{\"q\": \"y\", \"a\": 1e999, \"n\": 8}\n"}) {
    write("test.jsonl", std::string("{\"q\": \"x\", \"a\": 1, \"n\": 7}\n") + more);
    expect_refusal(task_yaml, "test.jsonl:2: ");
  }
  write("test.jsonl", "");
  expect_refusal(task_yaml, "test.jsonl: empty");
  write("test.jsonl", R"({"question": "b", "options": ["1"], "answer": "B", "category": "c"})");
  expect_refusal("{name: mmlu_pro}", "test.jsonl:1: the answer should be one of 1 choices");
  expect_refusal("{name: jsonl, template: '{q}', scorer: regex}", "scorer regex needs `extract`");
  expect_refusal("{name: jsonl, template: '{q}', scorer: choice}", "scorer choice needs `choices`");
  expect_refusal("{name: jsonl, template: '{q}', shots: 2}", "few_shot and shots go together");
  expect_refusal("{name: jsonl, template: '{q}', extract: '('}", "is not a regular expression");
}

}  // namespace
}  // namespace surprisal
