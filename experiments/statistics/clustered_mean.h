#pragma once

#include <cstddef>
#include <span>

#include "experiments/statistics/proportion.h"

namespace surprisal {

/// The mean of values that belong to clusters, every value with the same weight, and its interval
/// at the cluster-robust variance
///   C / (C - 1) sum over clusters of (sum of (x - mean))^2 / N^2,   t with C - 1 degrees of
///   freedom
/// No interval (NaN) with fewer than two clusters, or where all values agree: their spread says
/// nothing then.
/// @param clusters  of each value, numbered from 0 without gaps
/// @throws Error(kInternal) on spans of different lengths
/// Ref: Cameron & Miller, Journal of Human Resources 2015, 50:317-372, section II.
Proportion clustered_mean(std::span<const double> values, std::span<const size_t> clusters,
                          double confidence = 0.95);

}  // namespace surprisal
