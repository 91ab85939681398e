#include "lib/attention_statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "lib/distribution.h"
#include "lib/error.h"

namespace surprisal {
namespace {

constexpr double kFloat32 = 2e-6;  // results are stored as float32

std::vector<float> random_scores(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(-1, 2);
  std::vector<float> scores(count);
  for (float& score : scores) score = normal(random);
  return scores;
}

AttentionStatistics statistics_of(const std::vector<float>& scores, int64_t heads,
                                  std::vector<float>& per_head, std::vector<float>& per_layer) {
  per_head.resize(static_cast<size_t>(heads * kHeadStatistics));
  per_layer.resize(static_cast<size_t>(kLayerStatistics));
  attention_layer_statistics(scores, heads, per_head, per_layer);
  const int64_t length = static_cast<int64_t>(scores.size()) / heads;
  return {1, heads, length, per_head, per_layer};
}

TEST(AttentionStatistics, HeadsAreDistributions) {
  const std::vector<float> scores = random_scores(5 * 37, 1);
  std::vector<float> per_head, per_layer;
  const AttentionStatistics statistics = statistics_of(scores, 5, per_head, per_layer);
  for (int64_t head = 0; head < 5; ++head) {
    const auto row = std::span(scores).subspan(static_cast<size_t>(head) * 37, 37);
    const DistributionStatistics expected = distribution_statistics(row);
    const auto actual = [&](HeadStatistic s) { return statistics.head(0, head, s); };
    EXPECT_NEAR(actual(HeadStatistic::kEntropy), expected.entropy, kFloat32);
    EXPECT_NEAR(actual(HeadStatistic::kVarentropy), expected.varentropy, kFloat32);
    EXPECT_NEAR(actual(HeadStatistic::kMaxProbability), expected.max_probability, kFloat32);
    EXPECT_NEAR(actual(HeadStatistic::kLogSumExp), expected.log_sum_exp, kFloat32);
    EXPECT_NEAR(actual(HeadStatistic::kSinkMass), std::exp(row[0] - expected.log_sum_exp),
                kFloat32);
    double abs_score = 0;
    for (const float score : row) abs_score += std::abs(score) / 37;
    EXPECT_NEAR(actual(HeadStatistic::kMeanAbsScore), abs_score, kFloat32);
  }
}

TEST(AttentionStatistics, AgreementAtItsEnds) {
  std::vector<float> per_head, per_layer;
  // Four heads that look at the same tokens.
  std::vector<float> scores;
  for (int head = 0; head < 4; ++head) scores.insert(scores.end(), {0.5F, 1, -2});
  AttentionStatistics same = statistics_of(scores, 4, per_head, per_layer);
  EXPECT_NEAR(same.layer(0, LayerStatistic::kAgreement), 1, kFloat32);
  EXPECT_NEAR(same.layer(0, LayerStatistic::kAgreementRescaled), 1, kFloat32);
  EXPECT_NEAR(same.layer(0, LayerStatistic::kAgreementWithoutFirst), 1, kFloat32);

  // Four heads that look at four different tokens: agreement is at its floor, 1/H.
  scores.assign(16, -1000);
  for (size_t head = 0; head < 4; ++head) scores[head * 4 + head] = 0;
  AttentionStatistics different = statistics_of(scores, 4, per_head, per_layer);
  EXPECT_NEAR(different.layer(0, LayerStatistic::kAgreement), 0.25, kFloat32);
  EXPECT_NEAR(different.layer(0, LayerStatistic::kAgreementRescaled), 0, kFloat32);

  // They disagree only about how much goes to the first token.
  scores = {5, 0, 1, -5, 0, 1};
  AttentionStatistics sinks = statistics_of(scores, 2, per_head, per_layer);
  EXPECT_LT(sinks.layer(0, LayerStatistic::kAgreement), 0.6);
  EXPECT_NEAR(sinks.layer(0, LayerStatistic::kAgreementWithoutFirst), 1, kFloat32);

  // One head, one key.
  scores = {3};
  AttentionStatistics one = statistics_of(scores, 1, per_head, per_layer);
  EXPECT_EQ(one.layer(0, LayerStatistic::kAgreement), 1);
  EXPECT_EQ(one.layer(0, LayerStatistic::kAgreementRescaled), 1);
  EXPECT_EQ(attention_means(one).normalized_entropy, 0);
}

TEST(AttentionStatistics, MeansOverChosenLayers) {
  std::vector<float> per_head(3 * 2 * kHeadStatistics), per_layer(3 * kLayerStatistics);
  for (size_t layer = 0; layer < 3; ++layer)
    attention_layer_statistics(
        random_scores(2 * 20, static_cast<unsigned>(layer)), 2,
        std::span(per_head).subspan(layer * 2 * kHeadStatistics, 2 * kHeadStatistics),
        std::span(per_layer).subspan(layer * kLayerStatistics, kLayerStatistics));
  const AttentionStatistics statistics{3, 2, 20, per_head, per_layer};
  const std::vector<int64_t> chosen = {2};
  const AttentionMeans means = attention_means(statistics, chosen);
  EXPECT_NEAR(means.entropy,
              (statistics.head(2, 0, HeadStatistic::kEntropy) +
               statistics.head(2, 1, HeadStatistic::kEntropy)) /
                  2,
              kFloat32);
  EXPECT_NEAR(means.normalized_entropy, means.entropy / std::log(20), kFloat32);
  EXPECT_NEAR(means.agreement, statistics.layer(2, LayerStatistic::kAgreement), kFloat32);
  double entropy = 0;
  for (const int64_t layer : {0, 1, 2})
    entropy += attention_means(statistics, std::vector<int64_t>{layer}).entropy / 3;
  EXPECT_NEAR(attention_means(statistics).entropy, entropy, kFloat32);
  EXPECT_THROW(attention_means(statistics, std::vector<int64_t>{3}), Error);
}

TEST(PaddedAttentionStatistics, EmptySlotsScoreZero) {
  const std::vector<float> scores = random_scores(3 * 10, 7);
  std::vector<float> padded;
  for (size_t head = 0; head < 3; ++head) {
    padded.insert(padded.end(), scores.begin() + static_cast<ptrdiff_t>(head * 10),
                  scores.begin() + static_cast<ptrdiff_t>(head * 10 + 10));
    padded.resize((head + 1) * 64, 0.0F);
  }
  const PaddedAttentionStatistics closed = padded_attention_statistics(scores, 3, 64);
  std::vector<float> per_head, per_layer;
  const AttentionStatistics open = statistics_of(padded, 3, per_head, per_layer);
  for (int64_t head = 0; head < 3; ++head) {
    const auto h = static_cast<size_t>(head);
    EXPECT_NEAR(closed.entropy[h], open.head(0, head, HeadStatistic::kEntropy), kFloat32);
    EXPECT_NEAR(closed.mean_abs_score[h], open.head(0, head, HeadStatistic::kMeanAbsScore),
                kFloat32);
  }
  // Mean |P - mean| over heads and slots is 2 (1 - agreement) / slots.
  EXPECT_NEAR(closed.mean_abs_deviation, 2 * (1 - open.layer(0, LayerStatistic::kAgreement)) / 64,
              kFloat32 / 64);
  EXPECT_THROW(padded_attention_statistics(scores, 3, 9), Error);
}

}  // namespace
}  // namespace surprisal
