#include "experiments/statistics/repeated_samples.h"

#include <gtest/gtest.h>

#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

TEST(PassAtK, Ends) {
  EXPECT_EQ(pass_at_k(10, 0, 10), 0);
  EXPECT_EQ(pass_at_k(10, 1, 10), 1);
  EXPECT_NEAR(pass_at_k(10, 3, 1), 0.3, 1e-15);
  EXPECT_THROW(pass_at_k(3, 1, 4), Error);
  EXPECT_THROW(pass_at_k(3, 4, 1), Error);
}

TEST(MajorityAtK, OneOfOneIsAccuracy) {
  const std::vector<int64_t> wrong = {2, 1};
  EXPECT_NEAR(majority_at_k({3, wrong, 4}, 1), 0.3, 1e-15);
}

// Two answers that differ tie, and a fair draw makes maj@2 equal to accuracy.
TEST(MajorityAtK, PairsAddNothing) {
  const std::vector<int64_t> wrong = {3, 5};
  EXPECT_NEAR(majority_at_k({8, wrong, 0}, 2), 0.5, 1e-15);
}

TEST(MajorityAtK, AbstentionsDoNotVote) {
  EXPECT_EQ(majority_at_k({1, {}, 9}, 10), 1);   // one vote wins
  EXPECT_EQ(majority_at_k({0, {}, 10}, 10), 0);  // nobody votes
}

TEST(MajorityAtK, ManyRepeatsStayAChance) {
  const std::vector<int64_t> wrong(200, 1);
  const double value = majority_at_k({100, wrong, 12}, 64);
  EXPECT_GT(value, 0.999);
  EXPECT_LE(value, 1);
}

TEST(MajorityAtK, Refuses) {
  const std::vector<int64_t> negative = {-1};
  EXPECT_THROW(majority_at_k({3, negative, 0}, 1), Error);
  EXPECT_THROW(majority_at_k({3, {}, 0}, 4), Error);
  EXPECT_THROW(majority_at_k({3, {}, 0}, 0), Error);
}

}  // namespace
}  // namespace surprisal
