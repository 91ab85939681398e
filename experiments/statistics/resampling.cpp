#include "experiments/statistics/resampling.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "lib/error.h"
#include "lib/philox.h"

namespace surprisal {
namespace {

constexpr uint32_t kStream = 0x746f6f62;  // "boot", little endian

void check(const QuestionTable& table) {
  if (table.series == 0 || table.questions() == 0 ||
      table.values.size() != table.questions() * table.series)
    throw Error(ErrorCode::kInternal, "a question table's sizes disagree");
}

}  // namespace

size_t QuestionTable::cluster_count() const {
  return clusters.empty() ? 0 : *std::max_element(clusters.begin(), clusters.end()) + 1;
}

std::vector<double> question_means(const QuestionTable& table) {
  check(table);
  std::vector<double> means(table.series, 0.0);
  for (size_t q = 0; q < table.questions(); ++q)
    for (size_t s = 0; s < table.series; ++s) means[s] += table.values[q * table.series + s];
  for (double& mean : means) mean /= static_cast<double>(table.questions());
  return means;
}

std::vector<double> resampled_means(const QuestionTable& table, const BootstrapOptions& options) {
  check(table);
  const size_t clusters = table.cluster_count(), series = table.series;
  std::vector<double> sums(clusters * series, 0.0), sizes(clusters, 0.0);
  for (size_t q = 0; q < table.questions(); ++q) {
    const size_t cluster = table.clusters[q];
    sizes[cluster] += 1;
    for (size_t s = 0; s < series; ++s) sums[cluster * series + s] += table.values[q * series + s];
  }
  const PhiloxKey key = {static_cast<uint32_t>(options.seed),
                         static_cast<uint32_t>(options.seed >> 32)};
  std::vector<double> means(static_cast<size_t>(options.resamples) * series, 0.0);
  for (size_t b = 0; b < static_cast<size_t>(options.resamples); ++b) {
    double* row = means.data() + b * series;
    double questions = 0;
    PhiloxCounter words{};
    for (size_t i = 0; i < clusters; ++i) {
      if (i % 4 == 0)
        words = philox4x32_10({static_cast<uint32_t>(i / 4), static_cast<uint32_t>(b), kStream, 0},
                              key);
      const size_t drawn = static_cast<size_t>(words[i % 4] * uint64_t{clusters} >> 32);
      questions += sizes[drawn];
      for (size_t s = 0; s < series; ++s) row[s] += sums[drawn * series + s];
    }
    for (size_t s = 0; s < series; ++s) row[s] /= questions;
  }
  return means;
}

double sorted_quantile(std::span<const double> sorted, double probability) {
  if (sorted.empty() || !(probability >= 0 && probability <= 1))
    throw Error(ErrorCode::kInternal, "sorted_quantile: nothing to take a quantile of");
  const double place = probability * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - static_cast<double>(below));
}

Interval expanded_percentile_interval(std::vector<double> values, size_t clusters,
                                      double confidence) {
  if (clusters < 2 || !(confidence > 0 && confidence < 1))
    throw Error(ErrorCode::kInternal, "expanded_percentile_interval: needs two clusters");
  const auto c = static_cast<double>(clusters);
  const double t = boost::math::quantile(boost::math::students_t(c - 1), (1 + confidence) / 2);
  const double tail = boost::math::cdf(boost::math::normal(), -std::sqrt(c / (c - 1)) * t);
  std::sort(values.begin(), values.end());
  return {sorted_quantile(values, tail), sorted_quantile(values, 1 - tail)};
}

}  // namespace surprisal
