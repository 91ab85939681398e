#include "experiments/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/config_tree.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

constexpr const char* kExperiment = R"(
name: x
model: {path: m}
task: {name: stepwise}
samplers:
  greedy: {type: greedy}
  quadrant: {type: quadrant, entropy_cut: 1}
  minp: {type: chain, steps: [{temperature: 0.7}, {min_p: 0.1}]}
)";

std::vector<CellSpec> cells_of(const std::string& text) {
  const YAML::Node root = parse_yaml(text, "a.yaml");
  return expand_cells(root, read_experiment(root, "a.yaml"));
}

std::vector<CellSpec> cells_with(const std::string& sweep) {
  return cells_of(kExperiment + ("sweep: " + sweep));
}

std::vector<std::string> texts(const std::vector<CellSpec>& cells) {
  std::vector<std::string> result;
  for (const CellSpec& cell : cells)
    result.push_back(cell.sampler.name + " " + setting_text(cell.swept));
  return result;
}

TEST(Sweep, NoneGivesOneCellASampler) {
  EXPECT_THAT(texts(cells_with("{}")), ::testing::ElementsAre("greedy ", "quadrant ", "minp "));
}

TEST(Sweep, ASamplersKeyMultipliesThatSamplerOnly) {
  const auto cells = cells_with("{samplers.quadrant.entropy_cut: [0.5, 2]}");
  EXPECT_THAT(texts(cells),
              ::testing::ElementsAre("greedy ", "quadrant samplers.quadrant.entropy_cut=0.5",
                                     "quadrant samplers.quadrant.entropy_cut=2", "minp "));
  EXPECT_EQ(json_from_yaml(cells[2].sampler.node).at("entropy_cut"), 2);
  EXPECT_EQ(json_from_yaml(cells[0].sampler.node), Json::parse(R"({"type":"greedy"})"));
}

TEST(Sweep, AnyOtherKeyMultipliesAll) {
  const auto cells = cells_with("{seed: [1, 2], samplers.minp.steps.min_p: [0.2, 0.3]}");
  EXPECT_THAT(texts(cells), ::testing::ElementsAre("greedy seed=1", "greedy seed=2",
                                                   "quadrant seed=1", "quadrant seed=2",
                                                   "minp seed=1, samplers.minp.steps.min_p=0.2",
                                                   "minp seed=1, samplers.minp.steps.min_p=0.3",
                                                   "minp seed=2, samplers.minp.steps.min_p=0.2",
                                                   "minp seed=2, samplers.minp.steps.min_p=0.3"));
  EXPECT_EQ(cells.back().seed, 2U);
  EXPECT_EQ(json_from_yaml(cells.back().sampler.node)["steps"][1]["min_p"], 0.3);
}

TEST(Sweep, ModelsAndTasksMultiplyToo) {
  const auto cells = cells_of(R"(
name: x
models: [{path: a}, {path: b}]
tasks: [{name: s, split: dev}, {name: t}]
samplers: {greedy: {type: greedy}}
sweep: {tasks.1.max_new_tokens: [8, 9]}
)");
  ASSERT_EQ(cells.size(), 8U);
  EXPECT_EQ(cells[0].model.path, "a");
  EXPECT_EQ(cells[7].model.path, "b");
  EXPECT_EQ(cells[7].task.max_new_tokens, 9);
  EXPECT_EQ(cells[7].task.name, "t");
}

TEST(Sweep, ZipMovesKeysTogether) {
  const auto cells = cells_with(
      "{samplers.quadrant.entropy_cut: [1, 2], samplers.quadrant.varentropy_cut: [3, 4], "
      "zip: [[samplers.quadrant.entropy_cut, samplers.quadrant.varentropy_cut]]}");
  EXPECT_THAT(
      texts(cells),
      ::testing::ElementsAre(
          "greedy ", "quadrant samplers.quadrant.entropy_cut=1, samplers.quadrant.varentropy_cut=3",
          "quadrant samplers.quadrant.entropy_cut=2, samplers.quadrant.varentropy_cut=4", "minp "));
}

TEST(Sweep, AZipOfTwoSamplersGivesEachItsOwnKey) {
  const auto cells = cells_with(
      "{samplers.quadrant.entropy_cut: [1, 2], samplers.minp.steps.min_p: [0.1, 0.1], "
      "zip: [[samplers.quadrant.entropy_cut, samplers.minp.steps.min_p]]}");
  EXPECT_THAT(texts(cells),
              ::testing::ElementsAre("greedy ", "quadrant samplers.quadrant.entropy_cut=1",
                                     "quadrant samplers.quadrant.entropy_cut=2",
                                     "minp samplers.minp.steps.min_p=0.1"));
}

std::vector<Json> values_of(const std::string& range) {
  const std::vector<std::string> samplers = {"q"};
  const auto axes =
      read_sweep(parse_yaml("{samplers.q.x: " + range + "}", "a.yaml"), "a.yaml", samplers);
  std::vector<Json> values;
  for (const auto& point : axes.at(0).points) values.push_back(point.at(0));
  return values;
}

TEST(Sweep, RangesAreEvenlySpacedWithExactEnds) {
  EXPECT_EQ(values_of("{min: 0.1, max: 0.5, steps: 5}"),
            (std::vector<Json>{0.1, 0.2, 0.3, 0.4, 0.5}));
  EXPECT_EQ(values_of("{min: 1, max: 100, steps: 3, scale: log}"), (std::vector<Json>{1, 10, 100}));
  EXPECT_EQ(values_of("{min: 2, max: 8, steps: 4}"), (std::vector<Json>{2, 4, 6, 8}));
  EXPECT_TRUE(values_of("{min: 2, max: 8, steps: 4}")[1].is_number_integer());
  EXPECT_EQ(values_of("{min: 3, max: 3, steps: 1}"), (std::vector<Json>{3}));
  const auto log = values_of("{min: 0.1, max: 3, steps: 4, scale: log}");
  for (size_t i = 0; i + 1 < log.size(); ++i)
    EXPECT_NEAR(log[i + 1].get<double>() / log[i].get<double>(), std::cbrt(30.0), 1e-9);
}

TEST(Sweep, RefusesWhatCannotBeSwept) {
  for (const auto& [sweep, complaint] : std::vector<std::pair<std::string, std::string>>{
           {"{task.limit: [1, 2]}", "does not tell cells apart"},
           {"{repeats: [1, 2]}", "does not tell cells apart"},
           {"{engine.batch: [1, 2]}", "does not tell cells apart"},
           {"{models: [1, 2]}", "is a list"},
           {"{samplers.gredy.x: [1]}", "did you mean 'greedy'?"},
           {"{samplers.quadrant.entropy_cut: 3}", "expected a list"},
           {"{samplers.quadrant.entropy_cut: []}", "expected a list"},
           {"{samplers.quadrant.entropy_cut: {min: 0, max: 1, steps: 3, scale: log}}", "log scale"},
           {"{samplers.quadrant.entropy_cut: {min: 0, max: 1, step: 3}}", "'steps' is required"},
           {"{samplers.minp.steps.top_q: [1]}", "no entry of the list is called 'top_q'"},
           {"{seed: [1, 2], zip: [[seed, task.split]]}", "not a swept key"},
           {"{seed: [1, 2], task.split: [dev], zip: [[seed, task.split]]}", "has 1 values"},
           {"{seed: {min: 1, max: 4001, steps: 4001}}", "more than 10000 cells"}}) {
    const Error error = error_of([&, s = sweep] { cells_with(s); });
    EXPECT_EQ(exit_status(error.code()), 2) << sweep;
    EXPECT_THAT(error.what(), HasSubstr(complaint)) << sweep;
  }
}

}  // namespace
}  // namespace surprisal
