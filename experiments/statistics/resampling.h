#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "experiments/statistics/interval.h"

namespace surprisal {

/// Figures of the same questions side by side, e.g. each cell's accuracy and cost: values of
/// question q are values[q * series + s]. Questions of one cluster are resampled together.
struct QuestionTable {
  size_t series = 0;
  std::vector<double> values;    ///< [questions, series]
  std::vector<size_t> clusters;  ///< [questions], numbered from 0 without gaps

  size_t questions() const { return clusters.size(); }
  size_t cluster_count() const;
};

struct BootstrapOptions {
  int64_t resamples = 10'000;
  uint64_t seed = 0;
};

/// Means of every series over all questions.
std::vector<double> question_means(const QuestionTable& table);

/// The paired cluster bootstrap: means of every series when as many clusters as there are were
/// drawn with replacement, the same clusters for all series. [resamples, series]
///
/// Draw i of resample b is word i % 4 of philox4x32_10 with counter (i / 4, b, "boot", 0) and the
/// seed as key, multiplied by the number of clusters (whose bias, below clusters / 2^32, is
/// negligible). So resample b is the same whoever computes it and however many there are.
/// @throws Error(kInternal) on a table whose sizes disagree or without a question
/// Ref: Davison & Hinkley, Bootstrap Methods and their Application, 1997, §3.8.
std::vector<double> resampled_means(const QuestionTable& table, const BootstrapOptions& options);

/// Quantile of sorted values with linear interpolation (Hyndman & Fan's type 7, NumPy's default).
double sorted_quantile(std::span<const double> sorted, double probability);

/// The percentile interval, expanded: quantiles not at α/2 and 1 - α/2 but at Φ(±sqrt(C / (C - 1))
/// t_{C-1}), since a bootstrap of C clusters is too narrow by sqrt((C - 1) / C) and treats its
/// variance as known.
/// @param values    a statistic of every resample, in any order, all finite
/// @param clusters  >= 2
/// Ref: Hesterberg, The American Statistician 2015, 69:371-386, §4.2 (expanded percentile).
Interval expanded_percentile_interval(std::vector<double> values, size_t clusters,
                                      double confidence = 0.95);

}  // namespace surprisal
