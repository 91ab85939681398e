#pragma once

#include <cstdint>
#include <span>

namespace surprisal {

/// What one question's answers, or one cluster of questions, came to.
struct Tally {
  int64_t answers = 0;
  int64_t correct = 0;
};

/// A share of successes with its interval.
struct Proportion {
  double value = 0;  ///< NaN when nothing was counted
  double low = 0, high = 0;
};

/// Wilson's score interval: the p for which |p_hat - p| <= z sqrt(p (1 - p) / n).
/// @param trials      > 0; need not be whole (an effective sample size)
/// @param confidence  in (0, 1)
/// @throws Error(kInternal) on figures outside those bounds
/// Ref: Wilson, JASA 1927; Brown, Cai & DasGupta, Statistical Science 2001.
Proportion wilson_interval(double successes, double trials, double confidence = 0.95);

/// Share of correct answers where answers to one question (or questions of one cluster) are not
/// independent: Wilson's interval at the effective sample size p (1 - p) / V, kept within
/// [clusters, answers], where V is the cluster-robust variance of the share with the factor
/// C / (C - 1); with several answers a cluster, n is further divided by (t / z)², t with C - 1
/// degrees of freedom, as V is itself an estimate. With one answer each this is Wilson's interval.
/// Clusters without an answer are left out; no answer at all gives NaN.
/// Ref: Korn & Graubard, Survey Methodology 1998; Miller, arXiv:2411.00640 (clustered evals).
Proportion clustered_proportion(std::span<const Tally> clusters, double confidence = 0.95);

}  // namespace surprisal
