#include "lib/distribution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
// Sums of V <= 152,064 terms in double against long double: far above rounding (about 1e-13), far
// below what float32 sums would give (about 1e-6).
constexpr double kTolerance = 1e-10;

/// The definitions, two passes, in long double.
DistributionStatistics by_definition(const std::vector<float>& logits) {
  long double maximum = -INFINITY, z = 0, entropy = 0, varentropy = 0;
  for (const float x : logits) maximum = std::max<long double>(maximum, x);
  for (const float x : logits) z += std::exp(x - maximum);
  const auto surprisal = [&](float x) { return std::log(z) + (maximum - x); };
  for (const float x : logits)
    if (x != kBanned) entropy += std::exp(-surprisal(x)) * surprisal(x);
  for (const float x : logits)
    if (x != kBanned) varentropy += std::exp(-surprisal(x)) * std::pow(surprisal(x) - entropy, 2);
  DistributionStatistics result;
  result.log_sum_exp = static_cast<double>(maximum + std::log(z));
  result.entropy = static_cast<double>(entropy);
  result.varentropy = static_cast<double>(varentropy);
  std::vector<float> sorted = logits;
  std::sort(sorted.rbegin(), sorted.rend());
  result.max_probability = static_cast<double>(std::exp(-surprisal(sorted[0])));
  if (sorted.size() > 1)
    result.second_probability = static_cast<double>(std::exp(-surprisal(sorted[1])));
  result.argmax = std::max_element(logits.begin(), logits.end()) - logits.begin();
  return result;
}

void expect_as_defined(const std::vector<float>& logits) {
  const DistributionStatistics expected = by_definition(logits);
  const DistributionStatistics actual = distribution_statistics(logits);
  EXPECT_NEAR(actual.log_sum_exp, expected.log_sum_exp,
              kTolerance * std::max(1.0, std::abs(expected.log_sum_exp)));
  EXPECT_NEAR(actual.entropy, expected.entropy, kTolerance);
  EXPECT_NEAR(actual.varentropy, expected.varentropy,
              kTolerance * std::max(1.0, expected.varentropy));
  EXPECT_NEAR(actual.max_probability, expected.max_probability, kTolerance);
  EXPECT_NEAR(actual.second_probability, expected.second_probability, kTolerance);
  EXPECT_EQ(actual.argmax, expected.argmax);
}

TEST(DistributionStatistics, EqualsItsDefinition) {
  std::mt19937 random(1);
  for (const size_t size : {1, 2, 3, 7, 8, 9, 31, 128, 1000, 49152, 152064}) {
    for (const float spread : {0.01F, 1.0F, 8.0F, 100.0F}) {
      std::normal_distribution<float> normal(3, spread);
      std::vector<float> logits(size);
      for (float& x : logits) x = normal(random);
      expect_as_defined(logits);
      for (size_t i = 1; i < size; i += 3) logits[i] = kBanned;
      expect_as_defined(logits);
    }
  }
}

// {.1, .2, .3, .4}: values published in nats, recomputed by hand.
TEST(DistributionStatistics, KnownValues) {
  const std::vector<float> logits = {std::log(.1F), std::log(.2F), std::log(.3F), std::log(.4F)};
  const DistributionStatistics statistics = distribution_statistics(logits);
  constexpr double kFloat32Input = 2e-7;  // the logits are rounded
  EXPECT_NEAR(statistics.entropy, 1.27985423, kFloat32Input);
  EXPECT_NEAR(statistics.varentropy, 0.18092169, kFloat32Input);
  EXPECT_NEAR(statistics.max_probability, .4, kFloat32Input);
  EXPECT_NEAR(statistics.second_probability, .3, kFloat32Input);
  EXPECT_EQ(statistics.argmax, 3);
}

TEST(DistributionStatistics, ExactAtTheExtremes) {
  std::vector<float> one_hot(1000, kBanned);
  one_hot[617] = -3;
  DistributionStatistics statistics = distribution_statistics(one_hot);
  EXPECT_EQ(statistics.entropy, 0);
  EXPECT_EQ(statistics.varentropy, 0);
  EXPECT_EQ(statistics.max_probability, 1);
  EXPECT_EQ(statistics.second_probability, 0);
  EXPECT_EQ(statistics.argmax, 617);
  EXPECT_EQ(statistics.log_sum_exp, -3);

  statistics = distribution_statistics(std::vector<float>(1024, -1e4F));
  EXPECT_NEAR(statistics.entropy, std::log(1024), kTolerance);
  EXPECT_EQ(statistics.varentropy, 0);
  EXPECT_EQ(statistics.argmax, 0);
  EXPECT_EQ(statistics.second_probability, statistics.max_probability);

  const float largest = std::numeric_limits<float>::max();
  expect_as_defined({largest, -largest, largest, 0});
  expect_as_defined({1e4F, -1e4F, std::numeric_limits<float>::denorm_min()});
}

// e^x to the 3e-14 that its polynomial promises: as many tokens as weigh about as much as the
// first.
TEST(DistributionStatistics, ExponentialsAreExact) {
  constexpr double kExponential = 3e-14;
  for (float x = 0; x > -4; x -= 0.00137F) {
    const auto count = size_t{1} << std::lround(-x / std::log(2.0F));
    std::vector<float> logits(count + 1, x);
    logits[0] = 0;
    const long double z =
        1 + static_cast<long double>(count) * std::exp(static_cast<long double>(x));
    const double expected = static_cast<double>(1 / z);
    EXPECT_NEAR(distribution_statistics(logits).max_probability, expected, kExponential * expected);
  }
}

TEST(DistributionStatistics, WhatDoubleCannotHoldWeighsNothing) {
  std::vector<float> logits(1000, -708.8F);
  logits[3] = 0;
  const DistributionStatistics statistics = distribution_statistics(logits);
  EXPECT_EQ(statistics.entropy, 0);
  EXPECT_EQ(statistics.varentropy, 0);
  EXPECT_EQ(statistics.max_probability, 1);
  EXPECT_EQ(statistics.support, 1000);
}

TEST(DistributionStatistics, ScaleIsAFactorOfEveryLogit) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(1000), doubled(1000);
  for (size_t i = 0; i < logits.size(); ++i) doubled[i] = 2 * (logits[i] = normal(random));
  const DistributionStatistics scaled = distribution_statistics(logits, 2);
  const DistributionStatistics plain = distribution_statistics(doubled);
  EXPECT_EQ(scaled.log_sum_exp, plain.log_sum_exp);
  EXPECT_EQ(scaled.entropy, plain.entropy);
  EXPECT_EQ(scaled.varentropy, plain.varentropy);
}

TEST(DistributionStatistics, RefusesWhatIsNoDistribution) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -kBanned}) {
    for (const size_t at : {0, 5, 99}) {
      std::vector<float> logits(100, 1.0F);
      logits[at] = bad;
      try {
        distribution_statistics(logits);
        ADD_FAILURE() << "accepted " << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNumeric);
        EXPECT_NE(std::string(error.what()).find("token " + std::to_string(at)), std::string::npos);
      }
    }
  }
  EXPECT_THROW(distribution_statistics(std::vector<float>(100, kBanned)), Error);
  EXPECT_THROW(distribution_statistics({}), Error);
}

}  // namespace
}  // namespace surprisal
