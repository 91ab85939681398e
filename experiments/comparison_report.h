#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiments/comparison.h"
#include "experiments/compute_frontier.h"
#include "experiments/statistics/proportion.h"

namespace surprisal {

/// A cell's own figures; means are over answers.
struct CellSummary {
  const RecordedCell* cell = nullptr;
  Proportion strict, flexible, numeric;
  double invalid_share = 0, truncated_share = 0;
  double generated_tokens = 0, token_evaluations = 0;
  struct Repeated {
    int64_t k = 0;
    double pass = 0, majority = 0;  ///< of the report's scorer, means over questions
  };
  std::vector<Repeated> repeated;  ///< empty with one answer a question
};

/// The cells that answered the same questions under the same conditions.
struct ComparisonGroup {
  std::vector<CellSummary> cells;
  std::optional<size_t> baseline;       ///< index into `cells`
  std::vector<Comparison> comparisons;  ///< of other cells with the baseline
  std::optional<ComputeFrontier> frontier;
};

struct ComparisonReport {
  std::vector<std::string> runs;  ///< paths
  ComparisonOptions options;
  std::optional<AnalysisPlan> declared;  ///< as the first run's config has it
  size_t family_size = 0;                ///< declared tests carried out
  std::vector<ComparisonGroup> groups;
  std::vector<std::string> notes;  ///< whole sentences
};

/// The level of each test when the family's is shared out evenly: what detectable effects are
/// stated at.
double single_test_alpha(const ComparisonReport& report);

/// What a person asks compare_runs for.
struct ComparisonRequest {
  std::string baseline;               ///< sampler or cell; "" = as declared
  std::vector<std::string> with;      ///< samplers or cells to compare with it; empty = all
  std::vector<std::string> frontier;  ///< samplers or cells that span it; empty = greedy and chains
  std::string scorer;                 ///< "" = as declared, else numeric
  BootstrapOptions bootstrap;
};

/// Puts everything together: figures of cells, comparisons with the baseline, declared tests (of
/// the first run only, and only against the declared baseline with the declared scorer), frontier.
/// The report points into the runs.
/// @throws Error(kUsage, kUnknownName) on names that mean nothing or too much here, and on runs
/// that
///         cannot be compared, saying why
ComparisonReport compare_runs(const std::vector<RecordedRun>& runs,
                              const ComparisonRequest& request);

Json comparison_json(const ComparisonReport& report);
/// For a terminal, in plain words.
std::string comparison_text(const ComparisonReport& report);

}  // namespace surprisal
