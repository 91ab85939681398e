#include "experiments/statistics/paired_binary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lib/error.h"

namespace surprisal {
namespace {

TEST(McNemar, SmallestP) {
  EXPECT_EQ(smallest_mcnemar_p(0), 1);
  EXPECT_EQ(smallest_mcnemar_p(5), 0.0625);
  for (int64_t d = 1; d < 40; ++d)
    EXPECT_NEAR(mcnemar_exact_p(d, 0), smallest_mcnemar_p(d), 1e-15) << d;
  EXPECT_EQ(smallest_mcnemar_p(5000), 0);  // underflow, not an error
}

TEST(McNemar, RefusesNegativeCounts) {
  EXPECT_THROW(mcnemar_exact_p(-1, 2), Error);
}

// Fagerland, Lydersen & Laake, Statistics in Medicine 2014 (airway reactivity, 1 1 7 12).
TEST(Tango, PublishedExample) {
  const Interval interval = tango_interval({1, 1, 7, 12});
  constexpr double kPrinted = 5e-4;
  EXPECT_NEAR(interval.low, -0.517, kPrinted);
  EXPECT_NEAR(interval.high, -0.026, kPrinted);
}

TEST(Tango, SwappingTheMethodsMirrorsTheInterval) {
  const Interval one = tango_interval({50, 9, 4, 37}), other = tango_interval({50, 4, 9, 37});
  EXPECT_NEAR(one.low, -other.high, 1e-15);
  EXPECT_NEAR(one.high, -other.low, 1e-15);
}

// Without discordant pairs the bounds are ± z² / (n + z²).
TEST(Tango, NoDiscordantPair) {
  const Interval interval = tango_interval({10, 0, 0, 30});
  const double z2 = std::pow(1.959963984540054, 2);
  EXPECT_NEAR(interval.high, z2 / (40 + z2), 1e-12);
  EXPECT_NEAR(interval.low, -z2 / (40 + z2), 1e-12);
}

TEST(Tango, AlwaysWinning) {
  const Interval interval = tango_interval({0, 12, 0, 0});
  EXPECT_EQ(interval.high, 1);
  EXPECT_GT(interval.low, 0.4);
  EXPECT_LT(interval.low, 1);
  EXPECT_EQ(tango_interval({0, 0, 12, 0}).low, -1);
}

TEST(Tango, ContainsTheEstimateForAllSmallTables) {
  for (int64_t b = 0; b <= 6; ++b)
    for (int64_t c = 0; b + c <= 6; ++c) {
      const double estimate = static_cast<double>(b - c) / 6;
      const Interval interval = tango_interval({6 - b - c, b, c, 0});
      EXPECT_LE(interval.low, estimate);
      EXPECT_GE(interval.high, estimate);
      EXPECT_GE(interval.low, -1);
      EXPECT_LE(interval.high, 1);
    }
}

TEST(Tango, RefusesNoPairs) {
  EXPECT_THROW(tango_interval({}), Error);
}

}  // namespace
}  // namespace surprisal
