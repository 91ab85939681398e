// Draws against the distributions they are meant to come from. Seeds are fixed, so these tests do
// not flicker. Each test fails a right sampler with probability 1e-6 (when its seed was chosen); of
// the hundred or so together one would with less than 1e-4 (Bonferroni).
#include <gtest/gtest.h>

#include <boost/math/distributions/chi_squared.hpp>
#include <boost/math/distributions/gamma.hpp>
#include <boost/math/distributions/poisson.hpp>
#include <cctype>
#include <cmath>
#include <map>

#include "samplers/chain_step.h"
#include "samplers/entropix/dirichlet_draw.h"
#include "samplers/selection.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

constexpr double kFalseAlarm = 1e-6;

constexpr double kFewestExpected = 5;  // a cell's, below which chi-square is a poor approximation

/// Pearson's chi-square of counts against probabilities; the tail, all cells of fewer expected
/// draws, is one cell. Fails where a right sampler would fail with probability kFalseAlarm.
void expect_from(const std::map<TokenId, int64_t>& counts, const std::vector<double>& probs,
                 int64_t draws) {
  double statistic = 0, tail_expected = 0, tail_count = 0;
  int cells = 0;
  const auto add_cell = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++cells;
  };
  for (size_t token = 0; token < probs.size(); ++token) {
    const auto found = counts.find(static_cast<TokenId>(token));
    const double count = found == counts.end() ? 0.0 : static_cast<double>(found->second);
    if (probs[token] == 0) {
      ASSERT_EQ(count, 0) << "a removed token was drawn: " << token;
    }
    const double expected = probs[token] * static_cast<double>(draws);
    if (expected >= kFewestExpected) {
      add_cell(count, expected);
    } else {
      tail_expected += expected;
      tail_count += count;
    }
  }
  if (tail_expected >= kFewestExpected) {
    add_cell(tail_count, tail_expected);
  } else {
    const boost::math::poisson tail(std::max(tail_expected, 1e-300));
    ASSERT_TRUE(tail_count == 0 || cdf(complement(tail, tail_count - 1)) > kFalseAlarm)
        << tail_count << " draws from a tail of " << tail_expected;
  }
  if (cells < 2) return;  // one token is left, and no other was drawn
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

using Choose = std::function<TokenId(const Candidates&, const Draws&)>;

TokenId by_noise(const Candidates& candidates, const Draws& draws) {
  return gumbel_max(candidates, draws, kTokenDraw).token;
}
TokenId by_sum(const Candidates& candidates, const Draws& draws) {
  return inverse_cdf(candidates, draws, kInverseCdfDraw).token;
}

/// What one choice says about another: chi-square of the joint counts of pairs.
void expect_independent(const Choose& first, const Choose& second,
                        const std::function<std::pair<Draws, Draws>(uint32_t)>& pair_of) {
  constexpr int64_t kDraws = 200'000;
  const test::Row row({0, -0.5F, -1, -1.5F});
  const Candidates candidates(row.logits, row.statistics);
  std::map<TokenId, int64_t> counts;
  for (uint32_t i = 0; i < kDraws; ++i) {
    const auto [a, b] = pair_of(i);
    ++counts[first(candidates, a) * 4 + second(candidates, b)];
  }
  std::vector<double> probs;
  for (const float a : row.logits)
    for (const float b : row.logits)
      probs.push_back(std::exp(a + b - 2 * row.statistics.log_sum_exp));
  expect_from(counts, probs, kDraws);
}

TEST(DrawStatistics, PositionsPathsAttemptsAndRepeatsAreIndependent) {
  for (const Choose& choose : {Choose(by_noise), Choose(by_sum)}) {
    const auto expect_pairs = [&](const auto& pair_of) {
      expect_independent(choose, choose, pair_of);
    };
    expect_pairs([](uint32_t i) { return std::pair(Draws(3, 2 * i), Draws(3, 2 * i + 1)); });
    expect_pairs([](uint32_t i) { return std::pair(Draws(4, i, 0), Draws(4, i, 1)); });
    expect_pairs([](uint32_t i) { return std::pair(Draws(5, i, 0, 0), Draws(5, i, 0, 1)); });
    expect_pairs([](uint32_t i) {
      return std::pair(Draws(draws_key(6, "q", 0), i), Draws(draws_key(6, "q", 1), i));
    });
  }
}

// The same position's draws for different purposes.
TEST(DrawStatistics, PurposesAreIndependent) {
  expect_independent(by_noise, by_sum,
                     [](uint32_t i) { return std::pair(Draws(8, i), Draws(8, i)); });
  for (const uint32_t draw : {uint32_t{kGateDraw}, uint32_t{kXtcDraw}, uint32_t{kRaceDraw}})
    expect_independent(
        by_noise,
        [draw](const Candidates& candidates, const Draws& draws) {
          return gumbel_max(candidates, draws, draw).token;
        },
        [](uint32_t i) { return std::pair(Draws(9, i), Draws(9, i)); });
}

constexpr int64_t kMillion = 1'000'000;

std::vector<double> distribution_of(const Decision& decision, size_t vocabulary) {
  std::vector<double> probs(vocabulary, 0);
  for (const Candidate& candidate : decision.distribution)
    probs[static_cast<size_t>(candidate.token)] = candidate.probability;
  return probs;
}

/// 40 tokens from a probability of 0.3 down to 3e-7: what a rule leaves of the last dozen has fewer
/// than 5 of a million draws each and is tested as the tail.
std::vector<float> tailed_row() {
  std::vector<float> logits(40);
  for (size_t i = 0; i < logits.size(); ++i) logits[(7 * i) % 40] = -0.35F * static_cast<float>(i);
  return logits;
}

/// A million draws of a sampler, each from its first state, against the distribution it records.
void expect_as_recorded(const std::string& yaml, test::Row& row) {
  const auto sampler = test::sampler_of(yaml);
  row.view.want_distribution = true;
  const Decision first = sampler->decide(row.view, sampler->start().get(), Draws(11, 0));
  ASSERT_TRUE(std::holds_alternative<Emit>(first.action));
  const std::vector<double> probs = distribution_of(first, row.logits.size());
  row.view.want_distribution = false;
  std::vector<int64_t> counts(row.logits.size());
  for (uint32_t i = 0; i < kMillion; ++i)
    ++counts[static_cast<size_t>(
        test::emitted(sampler->decide(row.view, sampler->start().get(), Draws(11, i))))];
  std::map<TokenId, int64_t> by_token;
  for (size_t i = 0; i < counts.size(); ++i) by_token[static_cast<TokenId>(i)] = counts[i];
  expect_from(by_token, probs, kMillion);
}

class ChainStatistics : public testing::TestWithParam<std::string> {};

TEST_P(ChainStatistics, AMillionDrawsFollowTheRecordedDistribution) {
  test::Row row(tailed_row(), {1, 2, 1, 2});
  expect_as_recorded(GetParam(), row);
}

std::vector<std::string> chains() {
  std::vector<std::string> all = {
      "{type: chain}",
      "{type: chain, draw: inverse_cdf}",
      "{type: chain, draw: inverse_cdf, steps: [{top_k: 12}, {temperature: 1.7}]}",
      "{type: chain, preset: hf}",
      "{type: chain, preset: llama}",
      "{type: chain, preset: vllm}",
      "{type: chain, dialect: llama, steps: [{top_p: 0.8}, {min_p: 0.05}, {temperature: 1.5}]}",
      "{type: quadrant, entropy_cut: 0.1, varentropy_cut: 0.1}",  // high/high: samples hotter
  };
  for (const std::string& rule : builtin_chain_steps().names())
    if (rule != "xtc")  // whose own draw decides what it drops: below
      all.push_back("{type: chain, dialect: llama, steps: [{" + rule + ": " +
                    test::active_settings(rule) + "}]}");
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, ChainStatistics, testing::ValuesIn(chains()),
                         [](const auto& instance) {
                           std::string name;
                           for (const char c : instance.param)
                             if (std::isalnum(static_cast<unsigned char>(c)) || c == '_') name += c;
                           return name + "_" + std::to_string(instance.index);
                         });

/// The mixture of what it draws from where it acts and where it does not.
TEST(XtcStatistics, AMillionDrawsFollowTheMixture) {
  constexpr double kProbability = 0.3;
  test::Row row(tailed_row());
  const auto sampler_with = [](const std::string& trigger) {
    return test::sampler_of("{type: chain, steps: [{xtc: {probability: 0.3, threshold: 0.05" +
                            trigger + "}}]}");
  };
  const auto distribution_with = [&](const std::string& trigger) {
    const auto sampler = sampler_with(trigger);
    row.view.want_distribution = true;
    return distribution_of(sampler->decide(row.view, sampler->start().get(), Draws(1, 1)),
                           row.logits.size());
  };
  std::vector<double> probs = distribution_with(", triggered: false");
  const std::vector<double> acting = distribution_with(", triggered: true");
  for (size_t i = 0; i < probs.size(); ++i)
    probs[i] = kProbability * acting[i] + (1 - kProbability) * probs[i];
  row.view.want_distribution = false;
  const auto sampler = sampler_with("");
  std::map<TokenId, int64_t> counts;
  for (uint32_t i = 0; i < kMillion; ++i)
    ++counts[test::emitted(sampler->decide(row.view, sampler->start().get(), Draws(12, i)))];
  expect_from(counts, probs, kMillion);
}

class EntropixStatistics : public testing::TestWithParam<std::string> {};

/// Entropix with draws of its own draws from what it records.
TEST_P(EntropixStatistics, AMillionDrawsFollowTheRecordedDistribution) {
  test::Row row(test::random_logits(60, 5, 2.5F), {1, 2, 3});
  row.attend(1);
  expect_as_recorded(
      "{type: entropix, clarifying_token: 5, fixes: all, variant: " + GetParam() + "}", row);
}

INSTANTIATE_TEST_SUITE_P(All, EntropixStatistics,
                         testing::Values("v1", "v2_jax", "v2_torch", "v3_70b", "v4_server"),
                         [](const auto& instance) { return instance.param; });

/// Kolmogorov's distance of a million gamma numbers to the distribution function.
TEST(DirichletDrawStatistics, GammaNumbersFollowTheirDistribution) {
  for (const double alpha : {0.02, 0.3, 0.999, 1.0, 2.5, 40.0, 3000.0}) {
    std::vector<double> numbers;
    for (uint32_t i = 0; i < kMillion / 10; ++i)
      for (TokenId token = 0; token < 10; ++token)
        numbers.push_back(gamma_draw(alpha, 100 * token, Draws(21, i)));
    std::sort(numbers.begin(), numbers.end());
    const boost::math::gamma_distribution<> gamma(alpha);
    const auto n = static_cast<double>(numbers.size());
    double distance = 0;
    for (size_t i = 0; i < numbers.size(); i += 10) {  // every tenth: 1e-5 of slack, added below
      const double expected = numbers[i] > 0 ? cdf(gamma, numbers[i]) : 0;
      distance = std::max(distance, std::abs(expected - static_cast<double>(i) / n));
    }
    // P(sqrt(n) D > x) is about 2 exp(-2 x^2).
    EXPECT_LT(distance, std::sqrt(-std::log(kFalseAlarm / 2) / 2 / n) + 1e-5) << "alpha " << alpha;
  }
}

/// A Dirichlet draw's gamma numbers are independent: their sum is Gamma(sum of alpha).
TEST(DirichletDrawStatistics, SumsOfGammaNumbersAreGamma) {
  constexpr int64_t kDraws = 200'000;
  const std::vector<double> alpha = {0.2, 1.5, 0.7, 3};
  const boost::math::gamma_distribution<> total(5.4);
  constexpr int kCells = 50;
  std::map<TokenId, int64_t> counts;
  for (uint32_t i = 0; i < kDraws; ++i) {
    double sum = 0;
    for (size_t token = 0; token < alpha.size(); ++token)
      sum += gamma_draw(alpha[token], static_cast<TokenId>(token), Draws(22, i));
    ++counts[std::min(kCells - 1, static_cast<int>(kCells * cdf(total, sum)))];
  }
  expect_from(counts, std::vector<double>(kCells, 1.0 / kCells), kDraws);
}

TEST(DirichletDrawStatistics, TokensComeByTheirWeights) {
  std::vector<Candidate> candidates;
  std::vector<double> probs;
  double total = 0;
  for (TokenId token = 0; token < 40; ++token) {
    const double weight = 3 * std::exp(-0.35 * token);  // need not sum to 1
    candidates.push_back({token, 0, static_cast<float>(weight)});
    probs.push_back(weight);
    total += weight;
  }
  for (double& p : probs) p /= total;
  std::map<TokenId, int64_t> counts;
  for (uint32_t i = 0; i < kMillion; ++i) ++counts[categorical_draw(candidates, Draws(23, i))];
  expect_from(counts, probs, kMillion);
}

}  // namespace
}  // namespace surprisal
