#include "samplers/candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lib/error.h"
#include "lib/top_logits.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using test::kBanned;

std::vector<TokenId> tokens_of(const Candidates& candidates) {
  std::vector<TokenId> tokens;
  candidates.for_each([&](TokenId token, double) { tokens.push_back(token); });
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

TEST(Candidates, BannedTokensAreNone) {
  const test::Row row({1, kBanned, 3, kBanned, 2});
  Candidates candidates(row.logits, row.statistics);
  EXPECT_EQ(candidates.size(), 3U);
  EXPECT_THAT(tokens_of(candidates), ::testing::ElementsAre(0, 2, 4));
  candidates.keep_top(4);
  EXPECT_EQ(candidates.size(), 3U);
  EXPECT_EQ(candidates.top(10).size(), 3U);
}

TEST(Candidates, TopIsSortedWithLowerIdsFirstAmongEquals) {
  const test::Row row({1, 3, 2, 3, 2, 0});
  const Candidates candidates(row.logits, row.statistics);
  std::vector<TokenId> order;
  for (const auto& [token, logit] : candidates.top(5)) order.push_back(token);
  EXPECT_THAT(order, ::testing::ElementsAre(1, 3, 2, 4, 0));
}

// The threshold must never lose a token, whatever the order and shape of the row.
TEST(Candidates, TopOfLargeRowsEqualsAFullSort) {
  for (const unsigned shape : {0U, 1U, 2U, 3U, 4U, 5U}) {
    std::vector<float> logits = test::random_logits(50'000, shape);
    if (shape == 1) std::sort(logits.begin(), logits.end());
    if (shape == 2) std::fill(logits.begin(), logits.end(), 1.0F);
    if (shape == 3)  // almost everything banned
      for (size_t i = 0; i < logits.size(); ++i)
        if (i % 997 != 0) logits[i] = kBanned;
    if (shape == 4)  // all but one of each block's
      for (size_t i = 0; i < logits.size(); ++i)
        if (i % 64 != 0) logits[i] += 100;
    if (shape == 5)  // the large ones in few places, most of all in a rest behind the last block
      for (size_t i = logits.size() - 100; i < logits.size(); ++i) logits[i] += 100;
    std::vector<RankedLogit> all;
    for (size_t i = 0; i < logits.size(); ++i)
      if (logits[i] != kBanned) all.push_back({static_cast<int32_t>(i), logits[i]});
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.logit > b.logit; });
    for (const size_t count : {0, 1, 2, 40, 64, 100, 195, 196, 781, 782, 1000, 30'000, 60'000}) {
      const auto top = top_logits(logits, count);
      ASSERT_EQ(top.size(), std::min(count, all.size()));
      for (size_t i = 0; i < top.size(); ++i) ASSERT_EQ(top[i].index, all[i].index);
    }
  }
}

TEST(Candidates, HeatIsAFactor) {
  const test::Row row(test::random_logits(200, 1));
  Candidates candidates(row.logits, row.statistics);
  candidates.heat(0.7);
  candidates.heat(2);
  EXPECT_DOUBLE_EQ(candidates.temperature(), 1.4);
  EXPECT_NEAR(candidates.statistics().entropy, distribution_statistics(row.logits, 1 / 1.4).entropy,
              1e-12);
  std::vector<float> divided = row.logits;
  for (float& logit : divided) logit /= 1.4F;
  constexpr double kFloat32Logits = 1e-5;
  EXPECT_NEAR(candidates.statistics().entropy, distribution_statistics(divided).entropy,
              kFloat32Logits);
}

// A logit is one product of the row's, however many were looked at before it was heated.
TEST(Candidates, HeatedLogitsAreTheSameWhoeverAskedBefore) {
  const test::Row row(test::random_logits(5000, 3));
  RowCache few, many;
  many.top(row.logits, 256);
  Candidates some(row.logits, row.statistics, &few), all(row.logits, row.statistics, &many);
  for (Candidates* candidates : {&some, &all}) {
    candidates->top(1);
    candidates->heat(0.7);
  }
  for (size_t i = 0; i < 256; ++i) EXPECT_EQ(some.top(i + 1)[i].logit, all.top(i + 1)[i].logit);
}

TEST(Candidates, StatisticsFollowEveryChange) {
  const test::Row row(test::random_logits(300, 2));
  Candidates candidates(row.logits, row.statistics);
  candidates.heat(0.5);
  candidates.keep_top(10);
  std::vector<float> expected;
  for (const auto& [token, logit] : candidates.top(10))
    expected.push_back(row.logits[static_cast<size_t>(token)]);
  EXPECT_NEAR(candidates.statistics().entropy, distribution_statistics(expected, 2).entropy, 1e-12);
  EXPECT_EQ(candidates.statistics().argmax, row.statistics.argmax);
  candidates.transform([](TokenId, double logit) { return logit - 1; });
  EXPECT_NEAR(candidates.max_logit(), 2 * expected[0] - 1, 1e-5);
  candidates.keep_if([](TokenId token, double) { return token % 2 == 0; });
  EXPECT_LT(candidates.size(), 10U);
}

TEST(Candidates, KeepFromNeverKeepsFewerThanAsked) {
  const test::Row row({5, 4, 3, 2, 1});
  Candidates candidates(row.logits, row.statistics);
  candidates.keep_from(3, 1);
  EXPECT_THAT(tokens_of(candidates), ::testing::ElementsAre(0, 1, 2));
  candidates.keep_from(100, 2);
  EXPECT_THAT(tokens_of(candidates), ::testing::ElementsAre(0, 1));
}

TEST(Candidates, RemovingEverythingIsAnError) {
  const test::Row row({5, 4});
  Candidates candidates(row.logits, row.statistics);
  EXPECT_THROW(candidates.keep_if([](TokenId, double) { return false; }), Error);
}

}  // namespace
}  // namespace surprisal
