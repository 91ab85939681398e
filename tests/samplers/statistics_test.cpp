// Draws against the distributions they are meant to come from. Seeds are fixed, so these tests do
// not flicker; the false-alarm rates say how likely a right sampler would have been to fail when
// the seed was chosen.
#include <gtest/gtest.h>

#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>
#include <map>

#include "samplers/chain_step.h"
#include "samplers/selection.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

constexpr double kFalseAlarm = 1e-6;

/// Pearson's chi-square of counts against probabilities, cells of fewer than 5 expected draws
/// pooled. Fails where a right sampler would fail with probability kFalseAlarm.
void expect_from(const std::map<TokenId, int64_t>& counts, const std::vector<double>& probs,
                 int64_t draws) {
  double statistic = 0, pooled_expected = 0, pooled_count = 0;
  int cells = 0;
  for (size_t token = 0; token < probs.size(); ++token) {
    const auto found = counts.find(static_cast<TokenId>(token));
    const double count = found == counts.end() ? 0.0 : static_cast<double>(found->second);
    if (probs[token] == 0) {
      ASSERT_EQ(count, 0) << "a removed token was drawn: " << token;
    }
    const double expected = probs[token] * static_cast<double>(draws);
    if (expected < 5) {
      pooled_expected += expected;
      pooled_count += count;
      continue;
    }
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  }
  if (pooled_expected >= 5) {
    statistic +=
        (pooled_count - pooled_expected) * (pooled_count - pooled_expected) / pooled_expected;
    ++cells;
  }
  ASSERT_GT(cells, 1);
  const boost::math::chi_squared distribution(cells - 1);
  EXPECT_LT(statistic, quantile(complement(distribution, kFalseAlarm))) << cells << " cells";
}

TEST(GumbelMaxStatistics, DrawsFromTheSoftmax) {
  constexpr int64_t kDraws = 1'000'000;
  // Probabilities from 0.37 down to 2e-7: the tail below 5 expected draws is one pooled cell.
  std::vector<float> logits(60);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -0.25F * static_cast<float>(i);
  const test::Row row(logits);
  const Candidates candidates(row.logits, row.statistics);
  std::map<TokenId, int64_t> counts;
  for (int64_t i = 0; i < kDraws; ++i)
    ++counts[gumbel_max(candidates, Draws(1, static_cast<uint32_t>(i)), 0).token];
  std::vector<double> probs;
  for (const float logit : logits) probs.push_back(std::exp(logit - row.statistics.log_sum_exp));
  expect_from(counts, probs, kDraws);
}

// A float32 -log(-log u) never lifts a token of probability 1e-5 among many: the right tail of the
// noise must reach as far as 32 bits allow.
TEST(GumbelMaxStatistics, ReachesTheTail) {
  constexpr int64_t kDraws = 300'000;
  constexpr double kTail = 1e-4;
  std::vector<float> logits(101, static_cast<float>(std::log(kTail / 100)));
  logits[0] = static_cast<float>(std::log1p(-kTail));
  const test::Row row(logits);
  const Candidates candidates(row.logits, row.statistics);
  int64_t tail = 0;
  for (int64_t i = 0; i < kDraws; ++i)
    tail += gumbel_max(candidates, Draws(2, static_cast<uint32_t>(i)), 0).token != 0;
  // Poisson with mean 30: beyond 4.9 standard deviations with probability below 1e-5.
  EXPECT_NEAR(static_cast<double>(tail), kDraws * kTail, 4.9 * std::sqrt(kDraws * kTail));
}

/// What one position's choice says about another's: chi-square of the joint counts of pairs.
void expect_independent(const std::function<std::pair<Draws, Draws>(uint32_t)>& pair_of) {
  constexpr int64_t kDraws = 200'000;
  const test::Row row({0, -0.5F, -1, -1.5F});
  const Candidates candidates(row.logits, row.statistics);
  std::map<TokenId, int64_t> counts;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const auto [a, b] = pair_of(i);
    ++counts[gumbel_max(candidates, a, 0).token * 4 + gumbel_max(candidates, b, 0).token];
  }
  std::vector<double> probs;
  for (const float a : row.logits)
    for (const float b : row.logits)
      probs.push_back(std::exp(a + b - 2 * row.statistics.log_sum_exp));
  expect_from(counts, probs, kDraws);
}

TEST(GumbelMaxStatistics, PositionsPathsAttemptsAndRepeatsAreIndependent) {
  expect_independent([](uint32_t i) { return std::pair(Draws(3, 2 * i), Draws(3, 2 * i + 1)); });
  expect_independent([](uint32_t i) { return std::pair(Draws(4, i, 0), Draws(4, i, 1)); });
  expect_independent([](uint32_t i) { return std::pair(Draws(5, i, 0, 0), Draws(5, i, 0, 1)); });
  expect_independent([](uint32_t i) {
    return std::pair(Draws(draws_key(6, "q", 0), i), Draws(draws_key(6, "q", 1), i));
  });
}

/// Every chain draws from the distribution it says it drew from.
TEST(ChainStatistics, DrawsFromTheRecordedDistribution) {
  constexpr int64_t kDraws = 200'000;
  test::Row row(test::random_logits(80, 4, 1.5F));
  for (const char* yaml : {"{type: chain}", "{type: chain, steps: [{temperature: 1.7}]}",
                           "{type: chain, steps: [{top_k: 12}, {temperature: 0.8}]}",
                           "{type: chain, dialect: llama, steps: [{top_p: 0.8}, {min_p: 0.05}]}"}) {
    const auto chain = test::sampler_of(yaml);
    const auto state = chain->start();
    row.view.want_distribution = true;
    const Decision first = chain->decide(row.view, state.get(), Draws(7, 0));
    std::vector<double> probs(row.logits.size(), 0);
    for (const Candidate& candidate : first.distribution)
      probs[static_cast<size_t>(candidate.token)] = candidate.probability;
    row.view.want_distribution = false;
    std::map<TokenId, int64_t> counts;
    for (uint32_t i = 0; i < kDraws; ++i)
      ++counts[test::emitted(chain->decide(row.view, state.get(), Draws(7, i)))];
    expect_from(counts, probs, kDraws);
  }
}

/// Each rule alone, from the same state each time: 10^5 draws from 80 tokens, the rare ones pooled.
/// xtc, which decides by a draw of its own what it drops, has a test of its own.
TEST(ChainStatistics, EveryRuleDrawsFromTheRecordedDistribution) {
  constexpr int64_t kDraws = 100'000;
  test::Row row(test::random_logits(80, 4, 1.5F), {1, 2, 1, 2});
  for (const std::string& rule : builtin_chain_steps().names()) {
    if (rule == "xtc") continue;
    SCOPED_TRACE(rule);
    const auto chain = test::sampler_of("{type: chain, dialect: llama, steps: [{" + rule + ": " +
                                        test::active_settings(rule) + "}]}");
    row.view.want_distribution = true;
    const Decision first = chain->decide(row.view, chain->start().get(), Draws(11, 0));
    if (first.kept < 2) continue;  // ees and the like may leave one
    std::vector<double> probs(row.logits.size(), 0);
    for (const Candidate& candidate : first.distribution)
      probs[static_cast<size_t>(candidate.token)] = candidate.probability;
    row.view.want_distribution = false;
    std::map<TokenId, int64_t> counts;
    for (uint32_t i = 0; i < kDraws; ++i)
      ++counts[test::emitted(chain->decide(row.view, chain->start().get(), Draws(11, i)))];
    expect_from(counts, probs, kDraws);
  }
}

/// Entropix with draws of its own draws from what it records.
TEST(EntropixStatistics, DrawsFromTheRecordedDistribution) {
  constexpr int64_t kDraws = 100'000;
  for (const std::string variant : {"v1", "v2_jax", "v2_torch", "v3_70b", "v4_server"}) {
    SCOPED_TRACE(variant);
    test::Row row(test::random_logits(300, 5, 2.5F), {1, 2, 3});
    row.attend(1);
    row.view.want_distribution = true;
    const auto sampler = test::sampler_of(
        "{type: entropix, clarifying_token: 5, fixes: all, variant: " + variant + "}");
    const Decision first = sampler->decide(row.view, sampler->start().get(), Draws(13, 0));
    std::vector<double> probs(row.logits.size(), 0);
    for (const Candidate& candidate : first.distribution)
      probs[static_cast<size_t>(candidate.token)] = candidate.probability;
    row.view.want_distribution = false;
    std::map<TokenId, int64_t> counts;
    for (uint32_t i = 0; i < kDraws; ++i)
      ++counts[test::emitted(sampler->decide(row.view, sampler->start().get(), Draws(13, i)))];
    expect_from(counts, probs, kDraws);
  }
}

}  // namespace
}  // namespace surprisal
