// Large rows, where order, mass and noise are found without looking at every token for each
// request: every choice must be the one that the plain definitions give.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "samplers/chain_step.h"
#include "samplers/selection.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using test::kBanned;

// Log-sums of some thousand terms in double, in different orders.
constexpr double kRounding = 1e-11;

/// A chain of filters in its plainest form: sort everything, add up from the top, take the largest
/// logit + noise among all that are left.
struct Plain {
  explicit Plain(const std::vector<float>& row) {
    for (size_t i = 0; i < row.size(); ++i)
      if (row[i] != kBanned) kept.push_back({static_cast<TokenId>(i), row[i]});
    std::stable_sort(kept.begin(), kept.end(),
                     [](const auto& a, const auto& b) { return a.logit > b.logit; });
  }
  void heat(double temperature) {
    const double scale = 1 / temperature;
    for (auto& candidate : kept) candidate.logit *= scale;
  }
  double log_sum_exp() const {
    double sum = 0;
    for (const auto& candidate : kept) sum += std::exp(candidate.logit - kept[0].logit);
    return kept[0].logit + std::log(sum);
  }
  void top_p(double p) {
    const double total = log_sum_exp();
    double mass = 0;
    size_t count = 0;
    while (count < kept.size() && (count == 0 || mass < p))
      mass += std::exp(kept[count++].logit - total);
    kept.resize(count);
  }
  void min_p(double p) {
    std::erase_if(kept, [least = kept[0].logit + std::log(p)](const auto& candidate) {
      return candidate.logit < least;
    });
  }
  void top_k(size_t k) { kept.resize(std::min(k, kept.size())); }
  Candidates::Ranked draw(const Draws& draws) const {
    Candidates::Ranked best{};
    double best_score = -INFINITY;
    for (const auto& candidate : kept) {
      const double score =
          candidate.logit + draws.gumbel(kTokenDraw, static_cast<uint32_t>(candidate.token));
      if (score < best_score || (score == best_score && candidate.token > best.token)) continue;
      best_score = score;
      best = candidate;
    }
    return best;
  }

  std::vector<Candidates::Ranked> kept;
};

/// Flat, spread, peaked, rounded to whole numbers (ties everywhere), half banned, almost all
/// banned, far beyond the range of the buckets, and large enough for rounding to swallow noise.
std::vector<std::vector<float>> wide_rows() {
  std::vector<std::vector<float>> rows;
  for (const float spread : {0.01F, 2.0F, 6.0F, 200.0F})
    rows.push_back(test::random_logits(9001, static_cast<unsigned>(rows.size()), spread));
  rows.push_back(test::random_logits(9001, 10, 3));
  for (float& x : rows.back()) x = std::round(x);
  rows.push_back(test::random_logits(9001, 11, 2));
  for (size_t i = 0; i < 9001; i += 2) rows.back()[i] = kBanned;
  rows.emplace_back(9001, kBanned);
  for (size_t i = 0; i < 9001; i += 1000) rows.back()[i] = static_cast<float>(i % 7);
  rows.emplace_back(9001, 3.0F);
  rows.push_back(test::random_logits(9001, 12, 1e9F));
  rows.emplace_back(9001, 1e30F);
  return rows;
}

struct Setting {
  std::string yaml;
  std::function<void(Plain&)> plain;
};

std::vector<Setting> settings() {
  std::vector<Setting> all = {{"[]", [](Plain&) {}}};
  const auto number = [](double value) { return std::to_string(value); };
  for (const double t : {0.05, 0.7, 1.9, 1000.0})
    all.push_back({"[{temperature: " + number(t) + "}]", [=](Plain& plain) { plain.heat(t); }});
  for (const double p : {0.113, 0.61, 0.937}) {
    all.push_back({"[{top_p: " + number(p) + "}]", [=](Plain& plain) { plain.top_p(p); }});
    all.push_back({"[{temperature: 1.7}, {top_p: " + number(p) + "}]", [=](Plain& plain) {
                     plain.heat(1.7);
                     plain.top_p(p);
                   }});
    all.push_back(
        {"[{top_k: 3000}, {top_p: " + number(p) + "}, {temperature: 0.8}]", [=](Plain& plain) {
           plain.top_k(3000);
           plain.top_p(p);
           plain.heat(0.8);
         }});
  }
  for (const double p : {0.3, 0.004})
    all.push_back(
        {"[{top_p: 0.951}, {min_p: " + number(p) + "}, {temperature: 1.3}]", [=](Plain& plain) {
           plain.top_p(0.951);
           plain.min_p(p);
           plain.heat(1.3);
         }});
  return all;
}

TEST(WideRows, ChainsChooseAsThePlainDefinitionsDo) {
  for (const auto& logits : wide_rows()) {
    const test::Row row(logits);
    RowCache shared;
    for (const Setting& setting : settings()) {
      SCOPED_TRACE(setting.yaml);
      Plain plain(logits);
      setting.plain(plain);
      const auto chain =
          test::sampler_of("{type: chain, dialect: llama, steps: " + setting.yaml + "}");
      const auto state = chain->start();
      for (uint32_t position = 0; position < 4; ++position) {
        const Draws draws(17, position);
        const auto expected = plain.draw(draws);
        for (RowCache* cache : {static_cast<RowCache*>(nullptr), &shared}) {
          StepView view = row.view;
          view.shared = cache;
          const Decision decision = chain->decide(view, state.get(), draws);
          ASSERT_EQ(test::emitted(decision), expected.token);
          ASSERT_EQ(static_cast<size_t>(decision.kept), plain.kept.size());
          ASSERT_NEAR(decision.sampling_logprob, expected.logit - plain.log_sum_exp(),
                      kRounding * std::max(1.0, std::abs(expected.logit)));
        }
      }
    }
  }
}

// What was found out for one request must not change another's numbers in the last bit.
TEST(WideRows, SharingDoesNotChangeABit) {
  for (const auto& logits : wide_rows()) {
    const test::Row row(logits);
    RowCache shared;
    for (const Setting& setting : settings()) {
      const auto chain = test::sampler_of("{type: chain, steps: " + setting.yaml + "}");
      StepView view = row.view;
      const Decision alone = chain->decide(view, chain->start().get(), Draws(3, 4));
      view.shared = &shared;
      const Decision among = chain->decide(view, chain->start().get(), Draws(3, 4));
      ASSERT_EQ(test::emitted(alone), test::emitted(among));
      ASSERT_EQ(alone.sampling_logprob, among.sampling_logprob);
    }
  }
}

// A cut through the row behaves like the list it stands for, whatever follows.
TEST(WideRows, CutsAreLists) {
  for (const auto& logits : wide_rows()) {
    const test::Row row(logits);
    Plain plain(logits);
    Candidates cut(row.logits, row.statistics);
    cut.keep_top(2500);
    plain.top_k(2500);
    EXPECT_EQ(cut.size(), plain.kept.size());
    EXPECT_NEAR(cut.statistics().log_sum_exp, plain.log_sum_exp(),
                kRounding * std::max(1.0, std::abs(plain.log_sum_exp())));
    EXPECT_EQ(cut.statistics().argmax, plain.kept[0].token);
    const auto tokens_of = [](const Candidates& candidates) {
      std::vector<TokenId> tokens;
      candidates.for_each([&](TokenId token, double) { tokens.push_back(token); });
      std::sort(tokens.begin(), tokens.end());
      return tokens;
    };
    std::vector<TokenId> expected;
    for (const auto& candidate : plain.kept) expected.push_back(candidate.token);
    const auto order = cut.top(cut.size());
    ASSERT_EQ(order.size(), expected.size());
    for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i].token, expected[i]);
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(tokens_of(cut), expected);
    cut.transform([](TokenId token, double) { return token % 5; });
    EXPECT_EQ(tokens_of(cut), expected);
  }
}

/// Sort everything by |-ln p - H|, lower ids first; add up until the mass is reached.
std::vector<TokenId> typical_by_definition(const test::Row& row, double p, size_t min_keep,
                                           bool llama) {
  const double log_sum_exp = row.statistics.log_sum_exp, entropy = row.statistics.entropy;
  std::vector<std::pair<double, TokenId>> order;
  for (size_t i = 0; i < row.logits.size(); ++i)
    if (row.logits[i] != kBanned)
      order.emplace_back(std::abs(log_sum_exp - row.logits[i] - entropy), static_cast<TokenId>(i));
  std::sort(order.begin(), order.end());
  double mass = 0;
  size_t count = 0;
  do {
    const auto token = static_cast<size_t>(order[count++].second);
    mass += std::exp(row.logits[token] - log_sum_exp);
  } while (count < order.size() && !(llama ? mass > p && count >= min_keep : mass >= p));
  const double last = order[count - 1].first;
  while (!llama && count < order.size() && (order[count].first == last || count < min_keep))
    ++count;
  std::vector<TokenId> kept;
  for (size_t i = 0; i < count; ++i) kept.push_back(order[i].second);
  std::sort(kept.begin(), kept.end());
  return kept;
}

TEST(WideRows, TypicalKeepsAsDefined) {
  for (const auto& logits : wide_rows()) {
    const test::Row row(logits);
    for (const bool llama : {false, true})
      for (const double p : {0.0, 0.113, 0.61, 0.937, 0.9999})
        for (const size_t min_keep : {1, 200, 300, 20'000}) {
          SCOPED_TRACE(testing::Message() << (llama ? "llama " : "hf ") << p << " " << min_keep);
          const auto chain =
              test::sampler_of(std::string("{type: chain, dialect: ") + (llama ? "llama" : "hf") +
                               ", steps: [{typical: {p: " + std::to_string(p) +
                               ", min_keep: " + std::to_string(min_keep) + "}}]}");
          RowCache shared;
          StepView view = row.view;
          view.shared = &shared;
          view.want_distribution = true;
          const auto state = chain->start();
          std::vector<TokenId> kept;
          for (const Candidate& candidate :
               chain->decide(view, state.get(), Draws(1, 1)).distribution)
            kept.push_back(candidate.token);
          ASSERT_EQ(kept, typical_by_definition(row, p, min_keep, llama));
        }
  }
}

}  // namespace
}  // namespace surprisal
