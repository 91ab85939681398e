#include "models/softmax_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace surprisal {
namespace {

TEST(SoftmaxState, SummaryOfMergedSetsIsThatOfTheWhole) {
  const std::vector<double> scores = {0.5, -3, 2, 2, -40, 1.25};
  SoftmaxState merged;
  for (const double score : scores) merged = merged.merged(SoftmaxState::of(score));
  double z = 0, mean = 0, square = 0;
  for (const double score : scores) z += std::exp(score);
  for (const double score : scores) {
    const double p = std::exp(score) / z, surprisal = std::log(z) - score;
    EXPECT_NEAR(merged.probability(score), p, 1e-15);
    mean += p * surprisal;
    square += p * surprisal * surprisal;
  }
  const SoftmaxState::Summary summary = merged.summary();
  EXPECT_NEAR(summary.log_sum_exp, std::log(z), 1e-14);
  EXPECT_NEAR(summary.entropy, mean, 1e-14);
  EXPECT_NEAR(summary.varentropy, square - mean * mean, 1e-13);
}

TEST(SoftmaxState, AnInfiniteScoreIsNotTakenForCertainty) {
  const double infinity = std::numeric_limits<double>::infinity();
  const SoftmaxState state = SoftmaxState::of(infinity).merged(SoftmaxState::of(0));
  EXPECT_TRUE(std::isnan(state.z));
  EXPECT_TRUE(std::isnan(state.probability(infinity)));
}

}  // namespace
}  // namespace surprisal
