#include "experiments/statistics/sign_flip.h"

#include <gtest/gtest.h>

#include <vector>

#include "experiments/statistics/paired_binary.h"

namespace surprisal {
namespace {

TEST(SignFlip, OneAnswerEachIsMcNemar) {
  for (const auto& [wins, losses] : {std::pair{7, 2}, {31, 19}, {400, 331}, {0, 6}, {5, 5}}) {
    std::vector<int64_t> differences(100, 0);
    differences.insert(differences.end(), static_cast<size_t>(wins), 1);
    differences.insert(differences.end(), static_cast<size_t>(losses), -1);
    const SignFlipTest test = sign_flip_test(differences);
    EXPECT_NEAR(test.p_value, mcnemar_exact_p(wins, losses), 1e-12);
    EXPECT_EQ(test.smallest_p, smallest_mcnemar_p(wins + losses));
    EXPECT_EQ(test.informative, wins + losses);
  }
}

TEST(SignFlip, NoDifferenceNoEvidence) {
  const SignFlipTest test = sign_flip_test(std::vector<int64_t>{0, 0, 0});
  EXPECT_EQ(test.p_value, 1);
  EXPECT_EQ(test.smallest_p, 1);
  EXPECT_EQ(test.informative, 0);
  EXPECT_EQ(sign_flip_test({}).p_value, 1);
}

TEST(SignFlip, AllOneWayReachesTheSmallestP) {
  const SignFlipTest test = sign_flip_test(std::vector<int64_t>{3, 1, 4, 1, 5, 9, 2, 6});
  EXPECT_EQ(test.p_value, test.smallest_p);
  EXPECT_EQ(test.smallest_p, 1.0 / 128);
}

TEST(SignFlip, UnitDoesNotMatter) {
  const std::vector<int64_t> small = {3, -1, 4, 1, -5, 9, 2},
                             large = {300, -100, 400, 100, -500, 900, 200};
  EXPECT_EQ(sign_flip_test(small).p_value, sign_flip_test(large).p_value);
}

}  // namespace
}  // namespace surprisal
