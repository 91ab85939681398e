#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/comparison.h"

namespace surprisal {

/// A method's place in the plane of cost and accuracy.
struct FrontierEntry {
  std::string cell;   ///< id
  std::string label;  ///< "minp (min_p=0.1)", "minp (min_p=0.1) maj@8"
  int64_t k = 1;      ///< answers that vote
  bool is_baseline = false;
  bool is_on_frontier = false;  ///< a baseline that no mixture of others beats
  double cost = 0;              ///< mean token_evaluations
  double accuracy = 0;
  std::optional<double> distance;  ///< above (+) or below the frontier at equal mean cost
  std::optional<Interval> distance_interval;  ///< accuracy and cost resampled together
  /// Costs less than every baseline that gets anything right: there the frontier stands for
  /// answering only some of the questions.
  bool is_below_cheapest = false;
  bool is_beyond_dearest = false;  ///< costs more than every baseline on the frontier
};

struct ComputeFrontier {
  std::vector<FrontierEntry> entries;  ///< baselines by cost, then methods
  size_t clusters = 0;
};

/// Accuracy against compute: the frontier of the baselines (with repeats also majority votes over
/// 2, 4, 8, ... answers of those that sample) and how far the other methods lie from it. In each
/// resample of the questions the frontier is drawn anew, so the interval covers its uncertainty
/// too; being a maximum over noisy baselines it lies a little high, to the methods' disadvantage.
/// @param cells      of one model and task, comparable with each other
/// @param baselines  which of them span the frontier; at least one
/// @param tag        questions that share it are resampled together; "" = none
/// @throws Error(kUsage) on cells that cannot be compared or lack the tag
ComputeFrontier compute_frontier(std::span<const RecordedCell* const> cells,
                                 const std::vector<bool>& baselines, const std::string& tag,
                                 const ComparisonOptions& options);

/// Whether a cell's sampler is plain decoding: greedy, or a chain of temperature and cuts.
bool is_plain_decoding(const RecordedCell& cell);

}  // namespace surprisal
