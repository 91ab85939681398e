#include "experiments/rescoring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/experiment_config.h"
#include "experiments/sample_json.h"
#include "lib/error.h"
#include "tests/experiments/statistics/recorded_world.h"

namespace surprisal {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// A run of stepwise whose answers were scored by the task itself. Answer 0 is right, 1 is wrong
/// but for text that was put in, 2 says nothing.
RecordedRun stepwise_run(bool score_inserted = false) {
  const std::string file = "test";
  TaskSpec spec;
  spec.node = YAML::Load("{name: stepwise, levels: [1], n_per_level: 3, score_inserted: " +
                         std::string(score_inserted ? "true" : "false") + "}");
  spec.owner = "task";
  Json keys;
  const std::unique_ptr<Task> task = create_task(builtin_tasks(), spec, file, &keys);
  for (const char* key : {"data", "limit", "ids"}) keys.erase(key);
  keys["version"] = task->version();
  keys["data_sha256"] = task->data_sha256();

  RecordedCell cell = invented_cell("0123456789ab", "quadrant", "quadrant");
  cell.task = "stepwise";
  cell.identity["task"] = keys;
  for (const Problem& problem : task->problems()) {
    add_question(cell, {"right"});
    RecordedCell::Question& question = cell.questions.back();
    Sample& sample = question.answers[0];
    question.question_sha256 = sample.question_sha256 = problem.question_sha256;
    const std::string wait = " Wait, the answer is " + problem.target + ". ";
    sample.response = problem.doc_id == 0   ? "The answer is " + problem.target + "."
                      : problem.doc_id == 1 ? "The answer is 99999." + wait
                                            : std::string("I do not know.");
    if (problem.doc_id == 1)
      sample.foreign = {
          {std::ssize(sample.response) - std::ssize(wait), std::ssize(sample.response)}};
    sample.score = task->score(
        problem, score_inserted ? sample.response : without_spans(sample.response, sample.foreign));
  }
  return invented_run({cell}, "");
}

TEST(Rescore, NothingChangesUnderTheSameRules) {
  const RecordedRun run = stepwise_run();
  EXPECT_FALSE(run.cells[0].questions[1].answers[0].score.numeric);
  const RescoreReport report = rescore(run, builtin_tasks(), "");
  EXPECT_TRUE(report.changes.empty());
  EXPECT_TRUE(report.notes.empty());
  ASSERT_EQ(report.cells.size(), 1u);
  EXPECT_EQ(report.cells[0].right_before[2], 1);
  EXPECT_EQ(report.cells[0].right_now[2], 1);
  EXPECT_THAT(rescore_text(report), HasSubstr("Nothing changed: 3 answers"));
}

TEST(Rescore, InsertedTextCountsWhereTheTaskSaidSo) {
  const RecordedRun run = stepwise_run(/*score_inserted=*/true);
  EXPECT_TRUE(run.cells[0].questions[1].answers[0].score.numeric);
  EXPECT_TRUE(rescore(run, builtin_tasks(), "").changes.empty());
}

TEST(Rescore, ListsWhatComesOutDifferently) {
  RecordedRun run = stepwise_run();
  Score& score = run.cells[0].questions[2].answers[0].score;  // as an older rule might have had it
  score.extracted_numeric = "7";
  score.numeric = true;
  run.cells[0].identity["task"]["version"] = "stepwise v0";
  const RescoreReport report = rescore(run, builtin_tasks(), "");
  ASSERT_EQ(report.changes.size(), 1u);
  const ScoreChange& change = report.changes[0];
  EXPECT_EQ(change.doc_id, 2);
  EXPECT_EQ(change.scorer, Scorer::kNumeric);
  EXPECT_EQ(change.extracted_before, "7");
  EXPECT_EQ(change.extracted_now, "[invalid]");
  EXPECT_TRUE(change.right_before);
  EXPECT_FALSE(change.right_now);
  EXPECT_EQ(report.cells[0].right_before[2], 2);
  EXPECT_EQ(report.cells[0].right_now[2], 1);
  EXPECT_THAT(rescore_text(report), HasSubstr("\"7\" (right) -> \"[invalid]\" (wrong)"));
  EXPECT_THAT(rescore_text(report), HasSubstr("'stepwise v0'"));
  EXPECT_EQ(rescore_json(report).at("changes").at(0).at("scorer"), "numeric");
}

TEST(Rescore, RefusesOtherDataAndUnknownProblems) {
  RecordedRun other_data = stepwise_run();
  other_data.cells[0].identity["task"]["data_sha256"] = "00";
  EXPECT_THAT([&] { rescore(other_data, builtin_tasks(), ""); },
              ThrowsMessage<Error>(HasSubstr("not what the run was made with")));
  RecordedRun other_text = stepwise_run();
  other_text.cells[0].questions[1].question_sha256 = "00";
  EXPECT_THAT([&] { rescore(other_text, builtin_tasks(), ""); },
              ThrowsMessage<Error>(HasSubstr("no problem 1 with the text of the run's")));
}

}  // namespace
}  // namespace surprisal
