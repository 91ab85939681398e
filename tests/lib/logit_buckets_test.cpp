#include "lib/logit_buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "lib/distribution.h"

namespace surprisal {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
// Sums of up to 50,000 terms in double, in different orders.
constexpr double kTolerance = 1e-12;

std::vector<float> normal_row(size_t size, float spread, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3, spread);
  std::vector<float> logits(size);
  for (float& x : logits) x = normal(random);
  return logits;
}

/// Rows of many shapes: wide, narrow, beyond the range of the buckets, with ties, with banned ones.
std::vector<std::vector<float>> rows() {
  std::vector<std::vector<float>> all = {{1}, {2, 2, 2}, {-1e4F, 1e4F, 0, 1e4F}};
  for (const float spread : {0.001F, 0.7F, 4.0F, 60.0F, 3e3F})
    for (const size_t size : {17, 1000, 20'003})
      all.push_back(normal_row(size, spread, static_cast<unsigned>(size)));
  all.push_back(std::vector<float>(5000, -7.5F));
  all.push_back(normal_row(5000, 3, 1));
  for (float& x : all.back()) x = std::round(x);
  all.push_back(normal_row(5000, 3, 2));
  for (size_t i = 0; i < 5000; i += 2) all.back()[i] = kBanned;
  return all;
}

std::vector<float> sorted(const std::vector<float>& row) {
  std::vector<float> order;
  for (const float x : row)
    if (x != kBanned) order.push_back(x);
  std::sort(order.begin(), order.end(), std::greater<>());
  return order;
}

TEST(LogitBuckets, SumsEqualThoseOfTheSortedRow) {
  for (const auto& row : rows()) {
    const std::vector<float> order = sorted(row);
    LogitBuckets buckets(row, order.front());
    for (const double scale : {0.01, 0.5, 1.0, 1 / 0.7, 3.19, 3.21, 50.0}) {
      double sum = 0;
      size_t count = 0;
      for (const float logit : order) {
        sum += std::exp(scale * (static_cast<double>(logit) - order.front()));
        ++count;
        if (count % 97 != 1 && count != order.size()) continue;
        const double expected = scale * order.front() + std::log(sum);
        ASSERT_NEAR(buckets.log_sum_exp(scale, count), expected,
                    kTolerance * std::max(1.0, std::abs(expected)))
            << row.size() << " logits, scale " << scale << ", count " << count;
      }
    }
  }
}

TEST(LogitBuckets, NucleusEqualsTheSumOverTheSortedRow) {
  size_t found = 0, asked = 0;
  for (const auto& row : rows()) {
    const std::vector<float> order = sorted(row);
    LogitBuckets buckets(row, order.front());
    for (const double scale : {0.5, 1.0, 4.0})
      for (const size_t within : {order.size(), order.size() / 2 + 1}) {
        double total = 0;
        const auto weight = [&](size_t i) {
          return std::exp(scale * (static_cast<double>(order[i]) - order.front()));
        };
        for (size_t i = 0; i < within; ++i) total += weight(i);
        for (const double p : {0.013, 0.5, 0.777, 0.9, 0.9999}) {
          double sum = 0;
          size_t expected = 0;
          while (sum < p * total) sum += weight(expected++);
          const auto actual = buckets.nucleus(scale, p, within);
          ++asked;
          if (!actual) continue;  // rounding could decide; the caller sums in order
          ++found;
          ASSERT_EQ(*actual, expected) << row.size() << " logits, scale " << scale << ", p " << p;
        }
      }
  }
  EXPECT_GT(found, asked * 9 / 10);
}

// Where the mass lies exactly on p, sums of another order may stop elsewhere: no answer is given.
TEST(LogitBuckets, NucleusDeclinesWhereRoundingDecides) {
  LogitBuckets buckets(std::vector<float>(4096, 1.0F), 1);
  EXPECT_EQ(buckets.nucleus(1, 0.5, 4096), std::nullopt);
  EXPECT_EQ(buckets.nucleus(1, 0.50001, 4096), 2049U);
}

TEST(LogitBuckets, CountsAndRanksEqualThoseOfTheSortedRow) {
  for (const auto& row : rows()) {
    const std::vector<float> order = sorted(row);
    LogitBuckets buckets(row, order.front());
    for (const double scale : {0.3, 1.0, 2.5})
      for (size_t i = 0; i < order.size(); i += 1 + order.size() / 50)
        for (const double nudge : {-0.01, 0.0, 0.01}) {
          const double threshold = scale * order[i] + nudge;
          const auto expected = std::count_if(order.begin(), order.end(),
                                              [&](float x) { return scale * x >= threshold; });
          ASSERT_EQ(buckets.count_from(scale, threshold), static_cast<size_t>(expected));
        }
    for (size_t count = 1; count <= order.size(); count += 1 + order.size() / 50) {
      const auto [logit, equal, splits_tie] = buckets.last_of(count);
      ASSERT_EQ(logit, order[count - 1]);
      const auto among = std::count(order.begin(), order.begin() + static_cast<ptrdiff_t>(count),
                                    order[count - 1]);
      ASSERT_EQ(equal, static_cast<size_t>(among));
      ASSERT_EQ(splits_tie, count < order.size() && order[count] == order[count - 1]);
    }
  }
}

}  // namespace
}  // namespace surprisal
