#include "experiments/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "experiments/statistics/paired_binary.h"
#include "lib/error.h"
#include "tests/experiments/statistics/recorded_world.h"

namespace surprisal {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

/// Two cells with the given numbers of questions won, lost, both right and both wrong by the
/// second.
std::pair<RecordedCell, RecordedCell> pair_of_cells(int won, int lost, int both, int neither) {
  RecordedCell baseline = invented_cell("b", "greedy", "greedy");
  RecordedCell cell = invented_cell("c", "quadrant", "quadrant");
  const auto add = [&](int count, const char* first, const char* second) {
    for (int i = 0; i < count; ++i) {
      const std::string cluster = "template " + std::to_string(baseline.questions.size() % 12);
      add_question(baseline, {first}, 100, cluster);
      add_question(cell, {second}, 150, cluster);
    }
  };
  add(won, "3", "right");
  add(lost, "right", "4");
  add(both, "right", "right");
  add(neither, "3", "4");
  return {baseline, cell};
}

TEST(CompareCells, CountsAndIntervals) {
  const auto [baseline, cell] = pair_of_cells(14, 5, 40, 61);
  const Comparison result = compare_cells(baseline, cell, {});
  EXPECT_EQ(result.questions, 120);
  EXPECT_EQ(result.wins, 14);
  EXPECT_EQ(result.losses, 5);
  EXPECT_DOUBLE_EQ(result.difference, 9.0 / 120);
  EXPECT_DOUBLE_EQ(result.baseline_accuracy, 45.0 / 120);
  EXPECT_DOUBLE_EQ(result.accuracy, 54.0 / 120);
  const Interval tango = tango_interval({40, 14, 5, 61});
  ASSERT_TRUE(result.tango.has_value());
  EXPECT_EQ(result.tango->low, tango.low);
  EXPECT_EQ(result.tango->high, tango.high);
  ASSERT_EQ(result.bootstrap.size(), 2u);
  EXPECT_EQ(result.bootstrap[0].cluster, "question");
  EXPECT_EQ(result.bootstrap[0].clusters, 120u);
  EXPECT_EQ(result.bootstrap[1].cluster, "template_id");
  EXPECT_EQ(result.bootstrap[1].clusters, 12u);
  constexpr double kLikeTango = 0.01;  // two 95 % intervals of the same 120 pairs
  EXPECT_NEAR(result.bootstrap[0].interval->low, tango.low, kLikeTango);
  EXPECT_NEAR(result.bootstrap[0].interval->high, tango.high, kLikeTango);
  EXPECT_FALSE(result.test.has_value());
}

TEST(CompareCells, TooFewClustersGiveNoBootstrap) {
  const auto [baseline, cell] = pair_of_cells(2, 1, 3, 3);
  const Comparison result = compare_cells(baseline, cell, {});
  EXPECT_FALSE(result.bootstrap[0].interval.has_value());
  EXPECT_TRUE(result.tango.has_value());
}

TEST(CompareCells, RefusesOtherModelDataOrProblems) {
  auto [baseline, cell] = pair_of_cells(2, 1, 3, 3);
  RecordedCell other_model = cell, other_data = cell, fewer = cell, other_text = cell;
  other_model.identity["model"]["weights_sha256"] = "cc";
  other_data.identity["task"]["data_sha256"] = "dd";
  fewer.questions.pop_back();
  other_text.questions[4].question_sha256 = "ee";
  const auto refusal = [&](const RecordedCell& other) {
    return [&] { compare_cells(baseline, other, {}); };
  };
  EXPECT_THAT(refusal(other_model), ThrowsMessage<Error>(HasSubstr("model.weights_sha256")));
  EXPECT_THAT(refusal(other_data), ThrowsMessage<Error>(HasSubstr("task.data_sha256")));
  EXPECT_THAT(refusal(fewer), ThrowsMessage<Error>(HasSubstr("same problems (9 and 8)")));
  EXPECT_THAT(refusal(other_text), ThrowsMessage<Error>(HasSubstr("same problems")));
}

TEST(TestCells, McNemarWithOneAnswer) {
  const auto [baseline, cell] = pair_of_cells(14, 3, 40, 61);
  const DeclaredTest test = test_cells(baseline, cell, {});
  EXPECT_EQ(test.method, "exact McNemar test");
  EXPECT_EQ(test.informative, 17);
  EXPECT_EQ(test.p, mcnemar_exact_p(14, 3));
  EXPECT_EQ(test.verdict, Verdict::kNotShown);  // until its family is judged
}

TEST(TestCells, FiveDiscordantPairsCannotTell) {
  const auto [baseline, cell] = pair_of_cells(5, 0, 40, 61);
  EXPECT_EQ(test_cells(baseline, cell, {}).verdict, Verdict::kTooFew);
  const auto [same, six] = pair_of_cells(6, 0, 40, 61);
  EXPECT_EQ(test_cells(same, six, {}).verdict, Verdict::kNotShown);
}

TEST(TestCells, SignFlipWithRepeatsOrClusters) {
  RecordedCell baseline = invented_cell("b", "minp", "chain");
  RecordedCell cell = invented_cell("c", "quadrant", "quadrant");
  for (int q = 0; q < 12; ++q) {
    add_question(baseline, {"right", "1", "2"});
    add_question(cell, {"right", "right", q % 2 ? "right" : "7"});
  }
  const DeclaredTest test = test_cells(baseline, cell, {});
  EXPECT_THAT(test.method, HasSubstr("sign-flip test of question sums"));
  EXPECT_EQ(test.informative, 12);
  EXPECT_EQ(test.p, 2.0 / 4096);

  const auto [one, other] = pair_of_cells(20, 6, 20, 20);
  AnalysisPlan clustered;
  clustered.cluster = "template_id";
  const DeclaredTest by_template = test_cells(one, other, clustered);
  EXPECT_THAT(by_template.method, HasSubstr("template_id sums"));
  EXPECT_LE(by_template.informative, 12);
  clustered.cluster = "author";
  EXPECT_THROW(test_cells(one, other, clustered), Error);
}

TEST(TestCells, RefusesUnequalRepeats) {
  auto [baseline, cell] = pair_of_cells(3, 1, 3, 3);
  for (auto& question : cell.questions) question.answers.push_back(question.answers[0]);
  EXPECT_THROW(test_cells(baseline, cell, {}), Error);
}

}  // namespace
}  // namespace surprisal
