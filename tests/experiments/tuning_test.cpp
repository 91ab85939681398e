#include "experiments/tuning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_tree.h"
#include "lib/error.h"
#include "tests/experiments/example_plan.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// A plan whose cells have these samplers and settings; nothing else of it matters here.
Plan plan_of(const std::vector<std::pair<std::string, Setting>>& cells) {
  Plan plan = testing::example_plan(2, 1, "runs");
  plan.config.file = "a.yaml";
  plan.cells.clear();
  for (const auto& [sampler, swept] : cells) {
    Cell& cell = plan.cells.emplace_back();
    cell.id = "cell" + std::to_string(plan.cells.size());
    cell.sampler_name = sampler;
    cell.swept = swept;
  }
  return plan;
}

/// Results of such a plan: accuracies by the numeric scorer, and costs.
std::vector<CellResult> results_of(const Plan& plan,
                                   const std::vector<std::pair<double, double>>& figures) {
  std::vector<CellResult> results;
  for (size_t c = 0; c < plan.cells.size(); ++c) {
    CellResult& result = results.emplace_back();
    result.cell = plan.cells[c].id;
    result.questions = 200;
    result.numeric.value = figures[c].first;
    result.strict.value = 1 - figures[c].first;
    result.token_evaluations = figures[c].second;
  }
  return results;
}

std::vector<bool> kept(const std::vector<TunedCell>& tuned) {
  std::vector<bool> result;
  for (const TunedCell& cell : tuned) result.push_back(cell.kept);
  return result;
}

TEST(Tuning, KeepsTheBestOfEverySampler) {
  const Plan plan = plan_of({{"greedy", {}},
                             {"minp", {{"samplers.minp.min_p", 0.1}}},
                             {"minp", {{"samplers.minp.min_p", 0.2}}},
                             {"think", {{"samplers.think.cut", 1}}},
                             {"think", {{"samplers.think.cut", 2}}}});
  const auto results = results_of(plan, {{0.1, 50}, {0.3, 60}, {0.4, 90}, {0.2, 70}, {0.1, 60}});
  TuneSpec spec{.split = "dev", .limit = {}};
  const std::vector<TunedCell> tuned = choose_settings(plan, results, spec);
  EXPECT_EQ(kept(tuned), (std::vector<bool>{true, false, true, true, false}));
  EXPECT_EQ(tuned[0].rivals, 1);
  EXPECT_EQ(tuned[2].rivals, 2);
  EXPECT_EQ(tuned[2].accuracy, 0.4);
  EXPECT_EQ(tuned[2].questions, 200);
  spec.keep = 2;
  EXPECT_EQ(kept(choose_settings(plan, results, spec)), std::vector<bool>(5, true));
  spec.keep = 1;
  spec.scorer = Scorer::kStrict;
  EXPECT_EQ(kept(choose_settings(plan, results, spec)),
            (std::vector<bool>{true, true, false, false, true}));
}

TEST(Tuning, TiesGoToTheCheaperAndThenToTheFirst) {
  const Plan plan = plan_of(
      {{"a", {{"samplers.a.x", 1}}}, {"a", {{"samplers.a.x", 2}}}, {"a", {{"samplers.a.x", 3}}}});
  const TuneSpec spec{.split = "dev", .limit = {}};
  EXPECT_EQ(kept(choose_settings(plan, results_of(plan, {{0.5, 90}, {0.5, 80}, {0.4, 10}}), spec)),
            (std::vector<bool>{false, true, false}));
  EXPECT_EQ(kept(choose_settings(plan, results_of(plan, {{0.5, 80}, {0.4, 10}, {0.5, 80}}), spec)),
            (std::vector<bool>{true, false, false}));
}

TEST(Tuning, KeysThatConcernAllSamplersAreConditions) {
  const Plan plan = plan_of({{"a", {{"samplers.a.x", 1}, {"seed", 0}}},
                             {"a", {{"samplers.a.x", 2}, {"seed", 0}}},
                             {"a", {{"samplers.a.x", 1}, {"seed", 1}}},
                             {"a", {{"samplers.a.x", 2}, {"seed", 1}}}});
  const TuneSpec spec{.split = "dev", .limit = {}};
  const auto results = results_of(plan, {{0.5, 1}, {0.6, 1}, {0.9, 1}, {0.8, 1}});
  EXPECT_EQ(kept(choose_settings(plan, results, spec)),
            (std::vector<bool>{false, true, true, false}));
}

TEST(Tuning, EverySweptSamplerBringsAsManySettings) {
  EXPECT_NO_THROW(require_fair_tuning(plan_of({{"greedy", {}},
                                               {"a", {{"samplers.a.x", 1}}},
                                               {"a", {{"samplers.a.x", 2}}},
                                               {"b", {{"samplers.b.x", 1}}},
                                               {"b", {{"samplers.b.x", 2}}}}),
                                      {}));
  EXPECT_THAT(
      [&] {
        require_fair_tuning(plan_of({{"greedy", {}},
                                     {"a", {{"samplers.a.x", 1}}},
                                     {"a", {{"samplers.a.x", 2}}},
                                     {"b", {{"samplers.b.x", 1}}},
                                     {"b", {{"samplers.b.x", 2}}},
                                     {"b", {{"samplers.b.x", 3}}}}),
                            {});
      },
      ThrowsMessage<Error>(HasSubstr("a 2, b 3")));
  EXPECT_THAT(
      [&] {
        require_fair_tuning(plan_of({{"greedy", {}}, {"a", {{"seed", 1}}}}), {});
      },
      ThrowsMessage<Error>(HasSubstr("no sampler is swept")));
}

TEST(Tuning, MatchedSamplersAreChosenByTheirInterventionRate) {
  const Plan plan = plan_of({{"minp", {{"samplers.minp.min_p", 0.1}}},
                             {"minp", {{"samplers.minp.min_p", 0.2}}},
                             {"think", {{"samplers.think.cut", 1}}},
                             {"think", {{"samplers.think.cut", 2}}},
                             {"think", {{"samplers.think.cut", 3}}}});
  auto results = results_of(plan, {{0.3, 60}, {0.2, 50}, {0.9, 10}, {0.1, 70}, {0.9, 10}});
  const double interventions[] = {0, 0, 4, 1.5, 0.5};
  for (size_t c = 0; c < results.size(); ++c) {
    results[c].generated_tokens = 40;
    results[c].interventions = interventions[c];
  }
  const TuneSpec spec{.split = "dev", .limit = {}, .matched = {"think"}, .intervention_rate = 0.03};
  const std::vector<TunedCell> tuned = choose_settings(plan, results, spec);
  EXPECT_EQ(kept(tuned), (std::vector<bool>{true, false, false, true, false}));
  EXPECT_DOUBLE_EQ(tuned[3].intervention_rate, 0.0375);
  EXPECT_NO_THROW(require_fair_tuning(plan, spec));  // 2 and 3 settings
  EXPECT_THAT(
      [&] {
        require_fair_tuning(plan_of({{"think", {}}}), spec);
      },
      ThrowsMessage<Error>(HasSubstr("tune.match: 'think' has one setting only")));
}

TEST(Tuning, MatchNamesSamplersOfTheExperiment) {
  const YAML::Node root = YAML::Load(R"(
name: mine
model: {path: m}
task: {name: stepwise}
samplers: {greedy: {type: greedy}, think: {type: quadrant}}
tune: {split: dev, match: {intervention_rate: 0.05, samplers: [thing]}}
)");
  EXPECT_THAT([&] { read_experiment(root, "a.yaml"); },
              ThrowsMessage<Error>(HasSubstr("did you mean 'think'")));
}

TEST(Tuning, TheTuningRunIsTheExperimentOnOtherProblems) {
  const YAML::Node root = YAML::Load(R"(
name: mine
output: runs
model: {path: m}
task: {name: stepwise, limit: 50, max_new_tokens: 64}
samplers:
  greedy: {type: greedy}
  minp: {type: chain, steps: [{min_p: 0.1}]}
  think: {type: quadrant}
  yoked: {yoked_to: think}
sweep: {samplers.minp.steps.min_p: [0.1, 0.2], samplers.think.entropy_cut: [1, 2]}
tune: {split: dev, limit: 20}
analysis: {baseline: greedy, family: [minp]}
)");
  const ExperimentConfig config = read_experiment(root, "a.yaml");
  const ExperimentConfig tuning = read_experiment(tuning_tree(root, config), "a.yaml");
  EXPECT_EQ(tuning.name, "tuning");
  EXPECT_EQ(tuning.output, "runs/mine");
  EXPECT_FALSE(tuning.tune.has_value());
  EXPECT_FALSE(tuning.analysis.has_value());
  EXPECT_EQ(tuning.tasks[0].options.split, "dev");
  EXPECT_EQ(tuning.tasks[0].limit, 20);
  EXPECT_EQ(tuning.tasks[0].max_new_tokens, 64);
  EXPECT_EQ(config.tasks[0].limit, 50);  // the experiment's own tree is left alone
  auto cells = expand_cells(root, config);
  ASSERT_EQ(cells.size(), 1u + 2 + 2 + 2);
  std::erase_if(cells, [](const CellSpec& cell) { return cell.yoked_to.has_value(); });
  const auto tuned = expand_cells(tuning_tree(root, config), tuning);
  ASSERT_EQ(tuned.size(), cells.size());
  for (size_t c = 0; c < cells.size(); ++c) EXPECT_EQ(tuned[c].swept, cells[c].swept);
}

}  // namespace
}  // namespace surprisal
