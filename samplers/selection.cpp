#include "samplers/selection.h"

#include <algorithm>
#include <cmath>

#include "samplers/chain_step.h"

namespace surprisal {
namespace {

// Gumbel noise from 32-bit words cannot exceed this: -log(-log1p(-2^-33)) = 22.873...
constexpr double kLargestNoise = 22.8738;

}  // namespace

Candidates::Ranked gumbel_max(const Candidates& candidates, const Draws& draws, uint32_t draw) {
  GumbelNoise noise(draws, draw);
  Candidates::Ranked best = candidates.top(1)[0];
  double best_score = best.logit + noise.value(static_cast<uint32_t>(best.token));
  candidates.for_each([&](TokenId token, double logit) {
    const auto id = static_cast<uint32_t>(token);
    if (logit + kLargestNoise < best_score || logit + noise.bound(id) < best_score) return;
    const double score = logit + noise.value(id);
    if (score > best_score || (score == best_score && token < best.token)) {
      best_score = score;
      best = {token, logit};
    }
  });
  return best;
}

Decision sample(const Candidates& candidates, const Draws& draws, bool want_distribution) {
  const auto [token, chosen_logit] = gumbel_max(candidates, draws, kTokenDraw);
  const double log_sum_exp = candidates.statistics().log_sum_exp;
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
