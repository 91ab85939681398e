#include "experiments/statistics/detectable_effect.h"

#include <gtest/gtest.h>

#include <cmath>

#include "experiments/analysis_plan.h"
#include "lib/error.h"

namespace surprisal {
namespace {

// n = 1,319 at 20 % discordance: (1.96 + 0.84) sqrt(0.2 / 1319) = 3.4 points by the normal
// approximation; the exact test needs a little more.
TEST(DetectableEffect, NearTheNormalApproximation) {
  for (const double discordance : {0.05, 0.1, 0.2, 0.3}) {
    const double normal = (1.959964 + 0.841621) * std::sqrt(discordance / 1319);
    const auto exact = smallest_detectable_difference(1319, discordance);
    ASSERT_TRUE(exact.has_value());
    EXPECT_GT(*exact, 0.98 * normal);
    EXPECT_LT(*exact, 1.08 * normal);
  }
}

TEST(DetectableEffect, ReachesItsPowerAndNoMoreThanItMust) {
  const double effect = smallest_detectable_difference(300, 0.2).value();
  EXPECT_GE(mcnemar_power(300, 0.2, effect, 0.05), 0.8);
  EXPECT_LT(mcnemar_power(300, 0.2, effect - 2e-6, 0.05), 0.8);
}

TEST(DetectableEffect, TooFewQuestionsSeeNothing) {
  EXPECT_FALSE(smallest_detectable_difference(20, 0.05).has_value());
  EXPECT_FALSE(smallest_detectable_difference(0, 0.3).has_value());
}

// Under no difference the power is the test's true level: never above the nominal one.
TEST(DetectableEffect, LevelIsKept) {
  for (int64_t n : {10, 50, 400})
    for (const double discordance : {0.05, 0.2, 0.5})
      EXPECT_LE(mcnemar_power(n, discordance, 0, 0.05), 0.05);
}

TEST(DetectableEffect, BothDirectionsAlike) {
  EXPECT_NEAR(mcnemar_power(120, 0.25, 0.1, 0.05), mcnemar_power(120, 0.25, -0.1, 0.05), 1e-12);
}

TEST(DetectableEffect, ReadsAsASentence) {
  EXPECT_EQ(detectable_effects_text(1, 0.05),
            "With 1 question answered once, the smallest difference in points that an exact test "
            "at 0.050 finds four times in five: none where the two disagree on 5 %, none on 10 %, "
            "none on 20 %, none on 30 %.\n");
}

TEST(DetectableEffect, Refuses) {
  EXPECT_THROW(mcnemar_power(10, 0.1, 0.2, 0.05), Error);
  EXPECT_THROW(mcnemar_power(10, 0, 0, 0.05), Error);
  EXPECT_THROW(smallest_detectable_difference(10, 0.1, 0.05, 1), Error);
}

}  // namespace
}  // namespace surprisal
