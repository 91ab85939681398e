#include "samplers/entropix/race.h"

#include <algorithm>
#include <cmath>

namespace surprisal {

RaceDistribution::RaceDistribution(const StepView& view, const RaceSettings& settings)
    : temperature_(settings.temperature) {
  const double scale = 1.0 / settings.temperature;
  const double log_sum_exp = distribution_statistics(view.logits, scale).log_sum_exp;
  for (const auto& [index, logit] :
       top_logits(view.logits, static_cast<size_t>(std::max<int64_t>(1, settings.top_k))))
    ascending_.push_back({index, static_cast<float>(std::exp(logit * scale - log_sum_exp))});
  std::reverse(ascending_.begin(), ascending_.end());
  float mass = 0, kept_mass = 0;
  for (Entry& entry : ascending_) {
    mass += entry.probability;
    if (mass - entry.probability > settings.top_p) entry.probability = 0;
    kept_mass += entry.probability;
  }
  for (Entry& entry : ascending_) entry.probability /= kept_mass;
}

TokenId RaceDistribution::draw(JaxKey key) const {
  const std::vector<float> q = jax_exponential(key, ascending_.size());
  TokenId best = ascending_.front().token;
  float best_ratio = -1;
  for (size_t i = 0; i < ascending_.size(); ++i) {
    const float ratio = ascending_[i].probability / q[i];
    if (ratio > best_ratio) {
      best_ratio = ratio;
      best = ascending_[i].token;
    }
  }
  return best;
}

void RaceDistribution::record(TokenId token, const StepView& view, Decision& decision) const {
  decision.temperature = temperature_;
  decision.kept = 0;
  for (const auto& [candidate, probability] : ascending_) {
    if (candidate == token) decision.sampling_logprob = std::log(static_cast<double>(probability));
    if (probability == 0) continue;
    ++decision.kept;
    if (view.want_distribution)
      decision.distribution.push_back(
          {candidate, view.logits[static_cast<size_t>(candidate)] / temperature_, probability});
  }
  std::sort(decision.distribution.begin(), decision.distribution.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

}  // namespace surprisal
