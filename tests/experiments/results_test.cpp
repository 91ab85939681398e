#include "experiments/results_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/experiments/example_plan.h"
#include "tests/experiments/example_sample.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using testing::example_plan;
using testing::example_sample;
using ::testing::HasSubstr;

std::vector<CellResult> example_results(const Plan& plan) {
  ResultsBuilder builder(plan);
  for (int64_t problem = 0; problem < 4; ++problem) {
    for (size_t cell = 0; cell < 2; ++cell) {
      Sample sample = example_sample(plan.cells[cell].id, problem);
      if (cell == 1) sample.stop_reason = StopReason::kLength;
      sample.score.valid = problem != 3;
      builder.add(cell, sample);
    }
  }
  return builder.finish();
}

TEST(Results, AddUpEveryCellByItself) {
  const Plan plan = example_plan(4, 1, "runs");
  const auto results = example_results(plan);
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].n, 4);
  EXPECT_EQ(results[0].strict.value, 1);
  EXPECT_EQ(results[0].numeric.value, 0.5);  // problems 0 and 2
  EXPECT_NEAR(results[0].numeric.low, 0.150, 1e-3);
  EXPECT_NEAR(results[0].numeric.high, 0.850, 1e-3);
  EXPECT_EQ(results[0].invalid_share, 0.25);
  EXPECT_EQ(results[0].truncated_share, 0);
  EXPECT_EQ(results[1].truncated_share, 1);
  EXPECT_EQ(results[0].generated_tokens, 3);
  EXPECT_EQ(results[0].token_evaluations, 10);
  EXPECT_EQ(results[0].interventions, 2);
  EXPECT_EQ(results[0].state_shares[static_cast<size_t>(State::kHighLow)], 1);
  EXPECT_EQ(results[0].model, "fake");
  EXPECT_EQ(results[0].model_provenance, "made up");
}

TEST(Results, JsonReadsBack) {
  const Plan plan = example_plan(4, 1, "runs");
  const Json rows = results_json(example_results(plan));
  EXPECT_EQ(results_json(results_from_json(Json::parse(rows.dump()), "t")), rows);
  Json broken = rows;
  broken[0].erase("strict");
  EXPECT_EQ(error_of([&] { results_from_json(broken, "t"); }).code(), ErrorCode::kFormat);
}

TEST(Results, CsvHasARowACellAndAColumnASweptKey) {
  const Plan plan = example_plan(4, 1, "runs");
  const std::string csv = results_csv(example_results(plan));
  std::vector<std::string> lines;
  for (std::istringstream in(csv); in;) {
    std::string line;
    if (std::getline(in, line)) lines.push_back(line);
  }
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines[0],
              ::testing::StartsWith("cell,model,model_provenance,dtype,task,split,sampler,"
                                    "sampler_label,seed,choice,n,questions,strict,strict_low"));
  EXPECT_THAT(lines[1],
              ::testing::StartsWith("cell_a,fake,made up,float32,plain,test,greedy,,1,,4,"));
  const auto columns = [](const std::string& line) {
    return std::count(line.begin(), line.end(), ',');
  };
  EXPECT_EQ(columns(lines[0]), columns(lines[1]));
  EXPECT_EQ(columns(lines[0]), columns(lines[2]));
}

TEST(Results, TheTableNamesProvenanceAndSettings) {
  const Plan plan = example_plan(4, 1, "runs");
  const std::string table = results_table(example_results(plan));
  EXPECT_THAT(table, HasSubstr("fake (made up, float32) on plain test"));
  EXPECT_THAT(table, HasSubstr("seed=2"));
  EXPECT_THAT(table, HasSubstr("50.0 [15.0, 85.0]"));
  EXPECT_THAT(table, HasSubstr("high_low 100"));
}

TEST(Results, ACellWithoutAnswersHasNoFigures) {
  const Plan plan = example_plan(4, 1, "runs");
  const auto results = ResultsBuilder(plan).finish();
  EXPECT_TRUE(std::isnan(results[0].strict.value));
  EXPECT_TRUE(results_json(results)[0]["invalid_share"].is_null());
  EXPECT_THAT(results_table(results), HasSubstr("-"));
}

}  // namespace
}  // namespace surprisal
