#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiments/analysis_plan.h"
#include "experiments/recorded_run.h"
#include "experiments/statistics/interval.h"
#include "experiments/statistics/resampling.h"

namespace surprisal {

/// A bootstrap over fewer clusters than this says nothing worth printing.
inline constexpr size_t kMinClusters = 10;

/// How two cells are compared.
struct ComparisonOptions {
  Scorer scorer = Scorer::kNumeric;
  double confidence = 0.95;
  BootstrapOptions bootstrap;
};

/// The interval of a difference when questions that share a tag are resampled together.
struct ClusteredInterval {
  std::string cluster;  ///< "question" or the tag
  size_t clusters = 0;
  std::optional<Interval> interval;  ///< none below kMinClusters
};

enum class Verdict { kTooFew, kNotShown, kBetter, kWorse };

/// A test that was declared before the run.
struct DeclaredTest {
  std::string method;       ///< "exact McNemar test" or "exact sign-flip test of question sums"
  int64_t informative = 0;  ///< questions (or clusters) in which the two differ
  double p = 1;
  double holm_p = 1;  ///< adjusted for the family
  Verdict verdict = Verdict::kTooFew;
};

/// One cell against the baseline, question by question. Differences are the cell's minus the
/// baseline's.
struct Comparison {
  std::string baseline, cell;  ///< ids
  int64_t questions = 0;
  double baseline_accuracy = 0, accuracy = 0, difference = 0;
  int64_t wins = 0, losses = 0;   ///< questions which the cell, the baseline got right more often
  std::optional<Interval> tango;  ///< with one answer a question
  std::vector<ClusteredInterval> bootstrap;  ///< by question first, then by template_id if tagged
  std::optional<DeclaredTest> test;
};

/// Describes the difference of two cells; no test.
/// @throws Error(kUsage) when they cannot be compared (require_comparable)
Comparison compare_cells(const RecordedCell& baseline, const RecordedCell& cell,
                         const ComparisonOptions& options);

/// The test of one declared comparison, before the adjustment for its family (holm_p = p):
/// McNemar's with one answer a question and no cluster, else the sign-flip test of right answers
/// summed over question or cluster. `kTooFew` where no outcome of so many differing questions could
/// reach alpha.
/// @throws Error(kUsage) when they cannot be compared, have unequal repeats, or lack the tag
DeclaredTest test_cells(const RecordedCell& baseline, const RecordedCell& cell,
                        const AnalysisPlan& plan);

/// Number of each question's cluster: those with equal values of the tag belong together. ""
/// numbers every question on its own. nullopt when a question lacks the tag.
std::optional<std::vector<size_t>> cluster_numbers(const RecordedCell& cell,
                                                   const std::string& tag);

/// The share of right answers to each question.
std::vector<double> question_accuracies(const RecordedCell& cell, Scorer scorer);

}  // namespace surprisal
