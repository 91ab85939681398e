#include "experiments/statistics/resampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lib/error.h"
#include "lib/philox.h"

namespace surprisal {
namespace {

QuestionTable one_series(std::vector<double> values) {
  QuestionTable table;
  table.series = 1;
  table.values = std::move(values);
  for (size_t q = 0; q < table.values.size(); ++q) table.clusters.push_back(q);
  return table;
}

TEST(Bootstrap, DrawsAreTheDocumentedOnes) {
  const QuestionTable table = one_series({1, 10, 100, 1000, 10000, 100000});
  const uint64_t seed = 0x0123456789abcdef;
  const std::vector<double> means = resampled_means(table, {3, seed});
  for (uint32_t b = 0; b < 3; ++b) {
    double sum = 0;
    for (uint32_t i = 0; i < 6; ++i) {
      const PhiloxCounter words =
          philox4x32_10({i / 4, b, 0x746f6f62, 0}, {0x89abcdef, 0x01234567});
      sum += table.values[static_cast<size_t>(words[i % 4] / 4294967296.0 * 6)];
    }
    EXPECT_DOUBLE_EQ(means[b], sum / 6);
  }
}

TEST(Bootstrap, MoreResamplesKeepTheFirst) {
  const QuestionTable table = one_series({1, 2, 4, 8, 16});
  const std::vector<double> few = resampled_means(table, {10, 5});
  std::vector<double> many = resampled_means(table, {100, 5});
  many.resize(10);
  EXPECT_EQ(few, many);
  EXPECT_NE(few, resampled_means(table, {10, 6}));
}

TEST(Bootstrap, SeriesShareTheirDraws) {
  QuestionTable table;
  table.series = 2;
  for (size_t q = 0; q < 20; ++q) {
    table.clusters.push_back(q);
    table.values.push_back(static_cast<double>(q * q));
    table.values.push_back(static_cast<double>(q * q) + 3);
  }
  const std::vector<double> means = resampled_means(table, {50, 1});
  for (size_t b = 0; b < 50; ++b) EXPECT_NEAR(means[2 * b + 1] - means[2 * b], 3, 1e-12);
}

// The variance of a resampled mean is known: that of the cluster means over C, for equal sizes.
TEST(Bootstrap, VarianceOfClusters) {
  QuestionTable table;
  table.series = 1;
  constexpr size_t kClusters = 9, kSize = 4;
  double mean = 0, variance = 0;
  std::vector<double> cluster_means(kClusters, 0.0);
  for (size_t q = 0; q < kClusters * kSize; ++q) {
    const double value = std::sin(static_cast<double>(q * q));
    table.clusters.push_back(q % kClusters);
    table.values.push_back(value);
    cluster_means[q % kClusters] += value / kSize;
    mean += value / (kClusters * kSize);
  }
  for (const double m : cluster_means) variance += (m - mean) * (m - mean) / kClusters;
  constexpr int64_t kResamples = 40'000;
  double sum = 0, squares = 0;
  for (const double m : resampled_means(table, {kResamples, 2})) {
    sum += m;
    squares += (m - mean) * (m - mean);
  }
  const double expected = variance / kClusters;
  // Standard errors: sqrt(v / B) for the mean, about v sqrt(2 / B) for the variance; 4 of them.
  EXPECT_NEAR(sum / kResamples, mean, 4 * std::sqrt(expected / kResamples));
  EXPECT_NEAR(squares / kResamples, expected, 4 * expected * std::sqrt(2.0 / kResamples));
}

TEST(Bootstrap, Refuses) {
  EXPECT_THROW(resampled_means({}, {}), Error);
  QuestionTable table = one_series({1, 2});
  table.values.push_back(3);
  EXPECT_THROW(resampled_means(table, {}), Error);
  EXPECT_THROW(expanded_percentile_interval({1, 2, 3}, 1), Error);
}

}  // namespace
}  // namespace surprisal
