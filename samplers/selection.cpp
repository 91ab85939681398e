#include "samplers/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "samplers/chain_step.h"

namespace surprisal {
namespace {

// Gumbel noise from 32-bit words cannot exceed this: -log(-log1p(-2^-33)) = 22.873...
constexpr double kLargestNoise = 22.8738;
// Up to here a score's rounding is far below the slack of likely_noise().
constexpr double kLargestScore = 1e6;

/// The best so far of logit + noise.
class Race {
 public:
  Race(const Draws& draws, uint32_t draw) : noise_(draws, draw) {}

  void enter(const Candidates::Ranked& candidate) {
    const auto id = static_cast<uint32_t>(candidate.token);
    if (candidate.logit + kLargestNoise < score_ || candidate.logit + noise_.bound(id) < score_)
      return;
    enter(candidate, noise_.value(id));
  }
  void enter(const Candidates::Ranked& candidate, double noise) {
    const double score = candidate.logit + noise;
    if (score < score_ || (score == score_ && candidate.token > best_.token)) return;
    score_ = score;
    best_ = candidate;
  }
  double score() const { return score_; }
  Candidates::Ranked best() const { return best_; }

 private:
  GumbelNoise noise_;
  double score_ = -std::numeric_limits<double>::infinity();
  Candidates::Ranked best_{-1, 0};
};

}  // namespace

Candidates::Ranked gumbel_max(const Candidates& candidates, const Draws& draws, uint32_t draw) {
  Race race(draws, draw);
  if (!candidates.is_wide()) {
    race.enter(candidates.top(1)[0]);  // so that most others cannot win
    candidates.for_each([&](TokenId token, double logit) { race.enter({token, logit}); });
    return race.best();
  }
  // The most likely by themselves, until the next could win by rare noise alone. Then all those
  // that have it.
  double needed = kLargestNoise;
  for (size_t i = 0; i < std::min(RowCache::kLongest, candidates.size()); ++i) {
    const Candidates::Ranked next = candidates.top(i + 1)[i];
    needed = race.score() - next.logit;
    if (needed >= RowCache::kCommonNoise) break;
    race.enter(next);
  }
  if (needed > kLargestNoise) return race.best();
  if (std::abs(race.score()) > kLargestScore)
    candidates.for_each([&](TokenId token, double logit) { race.enter({token, logit}); });
  else
    candidates.for_likely(draws, draw, needed,
                          [&](const Candidates::Ranked& candidate, uint32_t word) {
                            if (candidate.logit + noise_bound(word) >= race.score())
                              race.enter(candidate, gumbel_of_word(word));
                          });
  return race.best();
}

Candidates::Ranked inverse_cdf(const Candidates& candidates, const Draws& draws, uint32_t draw) {
  std::vector<Candidates::Ranked> all;
  all.reserve(candidates.size());
  candidates.for_each([&](TokenId token, double logit) { all.push_back({token, logit}); });
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.token < b.token; });
  const auto weight = [largest = candidates.max_logit()](const Candidates::Ranked& candidate) {
    return std::exp(candidate.logit - largest);
  };
  double total = 0;
  for (const Candidates::Ranked& candidate : all) total += weight(candidate);
  // Two words: one alone could not hit a token of a probability below 2^-32.
  const double u = draws.uniform(draw, 0) + (draws.uniform(draw, 1) - 0.5) * 0x1p-32;
  double mass = 0;
  for (const Candidates::Ranked& candidate : all) {
    mass += weight(candidate);
    if (mass >= u * total) return candidate;
  }
  return all.back();  // not reached: the last sum is the total, and u <= 1
}

Decision sample(const Candidates& candidates, const Draws& draws, bool want_distribution,
                DrawMethod method) {
  const auto [token, chosen_logit] = method == DrawMethod::kGumbel
                                         ? gumbel_max(candidates, draws, kTokenDraw)
                                         : inverse_cdf(candidates, draws, kInverseCdfDraw);
  const double log_sum_exp = candidates.log_sum_exp();
  Decision decision;
  decision.action = Emit{token};
  decision.temperature = candidates.temperature();
  decision.kept = static_cast<int64_t>(candidates.size());
  decision.sampling_logprob = chosen_logit - log_sum_exp;
  if (!want_distribution) return decision;
  candidates.for_each([&](TokenId candidate, double logit) {
    decision.distribution.push_back(
        {candidate, static_cast<float>(logit), static_cast<float>(std::exp(logit - log_sum_exp))});
  });
  std::sort(decision.distribution.begin(), decision.distribution.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  return decision;
}

}  // namespace surprisal
