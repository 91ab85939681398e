#include "experiments/statistics/proportion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

TEST(Wilson, EndsExactlyAtZeroAndOne) {
  EXPECT_EQ(wilson_interval(0, 7).low, 0);
  EXPECT_GT(wilson_interval(0, 7).high, 0.2);
  EXPECT_EQ(wilson_interval(7, 7).high, 1);
  EXPECT_LT(wilson_interval(7, 7).low, 0.8);
}

TEST(Wilson, RefusesWhatCannotBe) {
  EXPECT_THROW(wilson_interval(0, 0), Error);
  EXPECT_THROW(wilson_interval(4, 3), Error);
  EXPECT_THROW(wilson_interval(1, 3, 1), Error);
}

TEST(ClusteredProportion, OneAnswerEachIsPlainWilson) {
  const std::vector<Tally> tallies = {{1, 1}, {1, 0}, {1, 1}, {0, 0}, {1, 1}};
  const Proportion plain = wilson_interval(3, 4), ours = clustered_proportion(tallies);
  EXPECT_EQ(ours.value, plain.value);
  EXPECT_EQ(ours.low, plain.low);
  EXPECT_EQ(ours.high, plain.high);
}

// Repeats that always agree say no more than one of them.
TEST(ClusteredProportion, CopiesAddNothing) {
  std::vector<Tally> copies;
  for (int q = 0; q < 200; ++q) copies.push_back({8, q % 3 == 0 ? 8 : 0});
  const Proportion once = wilson_interval(67, 200), ours = clustered_proportion(copies);
  constexpr double kFewFreedoms = 0.001;  // t with 199 degrees of freedom instead of z
  EXPECT_NEAR(ours.low, once.low, kFewFreedoms);
  EXPECT_NEAR(ours.high, once.high, kFewFreedoms);
  EXPECT_LE(ours.low, once.low);
  EXPECT_GE(ours.high, once.high);
}

TEST(ClusteredProportion, NothingCountedIsNothing) {
  EXPECT_TRUE(std::isnan(clustered_proportion({}).value));
}

TEST(ClusteredProportion, OneClusterOnlyTellsLittle) {
  const std::vector<Tally> one = {{50, 25}};
  const Proportion ours = clustered_proportion(one);
  EXPECT_LT(ours.low, 0.1);
  EXPECT_GT(ours.high, 0.9);
}

}  // namespace
}  // namespace surprisal
