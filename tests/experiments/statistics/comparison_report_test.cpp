#include "experiments/comparison_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/statistics/paired_binary.h"
#include "lib/error.h"
#include "tests/experiments/statistics/recorded_world.h"

namespace surprisal {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

/// Greedy, two chains and two methods on 200 questions: "good" wins 30 and loses 4 against greedy,
/// "idle" wins 3 and loses 1.
RecordedRun five_cells(const std::string& analysis) {
  RecordedCell greedy = invented_cell("000000000001", "greedy", "greedy");
  RecordedCell cold = invented_cell("000000000002", "minp", "chain");
  cold.swept = {{"samplers.minp.steps.min_p", 0.1}};
  RecordedCell hot = invented_cell("000000000003", "minp", "chain");
  hot.swept = {{"samplers.minp.steps.min_p", 0.2}};
  RecordedCell good = invented_cell("000000000004", "good", "quadrant");
  RecordedCell idle = invented_cell("000000000005", "idle", "quadrant");
  idle.sampler_label = "an untuned port";
  for (int q = 0; q < 200; ++q) {
    const bool right = q % 2 == 0;
    const auto answer = [](bool is_right) { return std::string(is_right ? "right" : "9"); };
    add_question(greedy, {answer(right)}, 100);
    add_question(cold, {answer(q % 3 == 0)}, 120);
    add_question(hot, {q % 5 == 0 ? "" : answer(q % 5 < 2)}, 140);
    add_question(good, {answer(q < 60 ? true : q >= 192 ? false : right)}, 150);
    add_question(idle, {answer(q < 6 ? true : q == 8 ? false : right)}, 90);
  }
  return invented_run({greedy, cold, hot, good, idle}, analysis);
}

const Comparison& comparison_with(const ComparisonReport& report, const std::string& cell) {
  for (const Comparison& comparison : report.groups.at(0).comparisons)
    if (comparison.cell == cell) return comparison;
  throw Error(ErrorCode::kInternal, "no comparison with " + cell);
}

constexpr const char* kDeclared =
    R"({"primary": "numeric", "baseline": "greedy", "family": ["good", "idle"], "alpha": 0.05})";

TEST(ComparisonReport, TestsWhatWasDeclaredAndNothingElse) {
  const std::vector<RecordedRun> runs = {five_cells(kDeclared)};
  const ComparisonReport report = compare_runs(runs, {});
  EXPECT_EQ(report.family_size, 2u);
  const Comparison& good = comparison_with(report, "000000000004");
  ASSERT_TRUE(good.test.has_value());
  EXPECT_EQ(good.test->verdict, Verdict::kBetter);
  EXPECT_EQ(good.test->p, mcnemar_exact_p(30, 4));
  EXPECT_EQ(good.test->holm_p, 2 * good.test->p);
  const Comparison& idle = comparison_with(report, "000000000005");
  EXPECT_EQ(idle.test->verdict, Verdict::kTooFew);
  EXPECT_FALSE(comparison_with(report, "000000000002").test.has_value());

  const std::string text = comparison_text(report);
  EXPECT_THAT(text, HasSubstr("better than the baseline"));
  EXPECT_THAT(text, HasSubstr("too few discordant pairs to tell"));
  EXPECT_THAT(text, HasSubstr("a family of 2 at alpha 0.050"));
  EXPECT_THAT(text, HasSubstr("minp stands here with 2 settings"));
  EXPECT_THAT(text, HasSubstr("note: idle: an untuned port"));

  const Json json = comparison_json(report);
  const Json& tests = json.at("groups").at(0).at("comparisons");
  EXPECT_EQ(tests.at(2).at("test").at("verdict"), "better");
  EXPECT_TRUE(tests.at(3).at("test").at("p").is_null());  // no p where nothing could be found
  EXPECT_TRUE(tests.at(0).at("test").is_null());
}

TEST(ComparisonReport, WithoutADeclarationThereIsNoTest) {
  const std::vector<RecordedRun> runs = {five_cells("")};
  ComparisonRequest request;
  EXPECT_THROW(compare_runs(runs, request), Error);  // against what?
  request.baseline = "greedy";
  const ComparisonReport report = compare_runs(runs, request);
  EXPECT_EQ(report.family_size, 0u);
  EXPECT_THAT(comparison_text(report), HasSubstr("declares no `analysis`"));
  EXPECT_THAT(comparison_text(report), Not(HasSubstr("Holm p")));
}

TEST(ComparisonReport, AnotherBaselineOrScorerIsDescription) {
  const std::vector<RecordedRun> runs = {five_cells(kDeclared)};
  ComparisonRequest request;
  request.baseline = "idle";
  EXPECT_EQ(compare_runs(runs, request).family_size, 0u);
  request.baseline = "";
  request.scorer = "strict";
  EXPECT_EQ(compare_runs(runs, request).family_size, 0u);
}

TEST(ComparisonReport, ShowingFewerComparisonsKeepsTheFamily) {
  const std::vector<RecordedRun> runs = {five_cells(kDeclared)};
  ComparisonRequest request;
  request.with = {"good"};
  const ComparisonReport report = compare_runs(runs, request);
  EXPECT_EQ(report.groups[0].comparisons.size(), 1u);
  EXPECT_EQ(report.family_size, 2u);
  EXPECT_EQ(report.groups[0].comparisons[0].test->holm_p,
            2 * report.groups[0].comparisons[0].test->p);
}

TEST(ComparisonReport, RefusesNamesThatMeanNothingOrTooMuch) {
  const std::vector<RecordedRun> runs = {five_cells("")};
  ComparisonRequest request;
  request.baseline = "gredy";
  EXPECT_THAT([&] { compare_runs(runs, request); },
              ThrowsMessage<Error>(HasSubstr("did you mean 'greedy'")));
  request.baseline = "minp";
  EXPECT_THAT([&] { compare_runs(runs, request); },
              ThrowsMessage<Error>(HasSubstr("000000000003  minp (steps.min_p=0.2)")));
  request.baseline = "000000000003";
  EXPECT_NO_THROW(compare_runs(runs, request));
}

TEST(ComparisonReport, MalformedDeclarationsAreRefused) {
  for (const char* analysis :
       {R"({"baseline": "greedy"})", R"({"baseline": "greedy", "family": ["greedy"]})",
        R"({"baseline": "greedy", "family": ["good", "good"]})",
        R"({"baseline": "greedy", "family": ["goood"]})", R"({"family": ["good"]})",
        R"({"baseline": "greedy", "family": ["good"], "alpha": 0})",
        R"({"baseline": "greedy", "family": ["good"], "primary": "lenient"})",
        R"({"baseline": "greedy", "family": ["good"], "alfa": 0.1})"}) {
    const std::vector<RecordedRun> runs = {five_cells(analysis)};
    EXPECT_THROW(compare_runs(runs, {}), Error) << analysis;
  }
}

TEST(ComparisonReport, CellsOfAnotherRunAreDescribed) {
  RecordedRun other = five_cells("");
  other.path = "runs/other";
  other.cells.erase(other.cells.begin() + 1, other.cells.end() - 1);
  other.cells[1].id = "000000000006";
  const std::vector<RecordedRun> runs = {five_cells(kDeclared), other};
  const ComparisonReport report = compare_runs(runs, {});
  EXPECT_EQ(report.groups[0].cells.size(), 6u);  // greedy is there already
  EXPECT_THAT(comparison_text(report), HasSubstr("is already in runs/invented"));
  EXPECT_FALSE(comparison_with(report, "000000000006").test.has_value());

  RecordedRun stranger = other;
  stranger.cells[1].identity["model"]["weights_sha256"] = "cc";
  const std::vector<RecordedRun> mixed = {five_cells(kDeclared), stranger};
  EXPECT_THAT([&] { compare_runs(mixed, {}); },
              ThrowsMessage<Error>(HasSubstr("model.weights_sha256")));
}

TEST(ComparisonReport, CellFigures) {
  const std::vector<RecordedRun> runs = {five_cells(kDeclared)};
  const ComparisonReport report = compare_runs(runs, {});
  const CellSummary& hot = report.groups[0].cells[2];
  EXPECT_DOUBLE_EQ(hot.invalid_share, 0.2);
  EXPECT_DOUBLE_EQ(hot.truncated_share, 0.2);
  EXPECT_DOUBLE_EQ(hot.token_evaluations, 140);
  EXPECT_DOUBLE_EQ(hot.numeric.value, 0.2);
  EXPECT_TRUE(hot.repeated.empty());
}

TEST(ComparisonReport, Frontier) {
  const std::vector<RecordedRun> runs = {five_cells(kDeclared)};
  const ComparisonReport report = compare_runs(runs, {});
  ASSERT_TRUE(report.groups[0].frontier.has_value());
  const auto& entries = report.groups[0].frontier->entries;
  ASSERT_EQ(entries.size(), 5u);
  EXPECT_EQ(entries[0].label, "greedy");
  EXPECT_TRUE(entries[0].is_on_frontier);
  EXPECT_FALSE(entries[1].is_on_frontier);  // dearer and worse
  // idle: 90 evaluations against greedy's 100 at 50 %, so the frontier there is at 45 %.
  EXPECT_EQ(entries[3].label, "idle");
  EXPECT_NEAR(*entries[3].distance, 0.51 - 0.45, 1e-12);
  EXPECT_TRUE(entries[3].is_below_cheapest);
  EXPECT_EQ(entries[4].label, "good");
  EXPECT_NEAR(*entries[4].distance, 0.63 - 0.50, 1e-12);
  EXPECT_TRUE(entries[4].is_beyond_dearest);
  EXPECT_LT(entries[4].distance_interval->low, *entries[4].distance);
  EXPECT_GT(entries[4].distance_interval->high, *entries[4].distance);
}

TEST(ComparisonReport, OneAnswerBesideSeveral) {
  RecordedCell greedy = invented_cell("a", "greedy", "greedy"),
               minp = invented_cell("b", "minp", "chain");
  for (int q = 0; q < 40; ++q) {
    add_question(greedy, {q % 2 ? "right" : "1"}, 60);
    add_question(minp, {"right", "right", q % 2 ? "3" : "right"}, 60);
  }
  std::vector<RecordedRun> runs = {invented_run({greedy}, ""), invented_run({minp}, "")};
  ComparisonRequest request;
  request.baseline = "greedy";
  const ComparisonReport report = compare_runs(runs, request);
  const auto& entries = report.groups[0].frontier->entries;
  ASSERT_EQ(entries.size(), 4u);  // greedy, minp, maj@2, maj@3
  EXPECT_EQ(entries[3].label, "minp maj@3");
  const std::string text = comparison_text(report);
  EXPECT_THAT(text, HasSubstr("40 questions, 1 to 3 answers to each"));
  EXPECT_THAT(text, HasSubstr("maj@3 %"));
  EXPECT_EQ(report.groups[0].comparisons[0].wins, 20);
  EXPECT_EQ(report.groups[0].comparisons[0].losses, 20);  // 2 of 3 against 1 of 1
}

TEST(ComparisonReport, RepeatsBringVotes) {
  RecordedCell minp = invented_cell("a", "minp", "chain"), think = invented_cell("b", "think", "x");
  for (int q = 0; q < 40; ++q) {
    add_question(minp, {"right", "right", "3", q % 2 ? "4" : ""}, 60);
    add_question(think, {"right", "1", "1", "1"}, 80);
  }
  const std::vector<RecordedRun> runs = {invented_run({minp, think}, "")};
  ComparisonRequest request;
  request.baseline = "minp";
  const ComparisonReport report = compare_runs(runs, request);
  const auto& repeated = report.groups[0].cells[0].repeated;
  ASSERT_EQ(repeated.size(), 2u);  // 2 and 4
  EXPECT_DOUBLE_EQ(repeated[1].pass, 1);
  EXPECT_DOUBLE_EQ(repeated[1].majority, 1);
  const auto& entries = report.groups[0].frontier->entries;
  ASSERT_EQ(entries.size(), 4u);  // minp, maj@2, maj@4, think
  EXPECT_EQ(entries[2].label, "minp maj@4");
  EXPECT_DOUBLE_EQ(entries[2].cost, 40 + 4 * 20);  // the prompt once
  EXPECT_FALSE(report.groups[0].comparisons[0].tango.has_value());
  EXPECT_THAT(comparison_text(report), HasSubstr("maj@4 %"));
}

}  // namespace
}  // namespace surprisal
