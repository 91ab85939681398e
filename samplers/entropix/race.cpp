#include "samplers/entropix/race.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

struct Entry {
  TokenId token;
  float probability;
};

/// The `count` most likely, most likely first; banned tokens (here: -1) fill up. Which of equals
/// comes first hangs on probabilities in float32, where tokens are equal that were not.
std::vector<Entry> most_likely(const StepView& view, double scale, double log_sum_exp, size_t count,
                               bool equals_upwards) {
  std::vector<Entry> top;
  for (const auto& [index, logit] : view.top(count))
    top.push_back({index, static_cast<float>(std::exp(logit * scale - log_sum_exp))});
  std::sort(top.begin(), top.end(), [=](const Entry& a, const Entry& b) {
    if (a.probability != b.probability) return a.probability > b.probability;
    return equals_upwards ? a.token > b.token : a.token < b.token;
  });
  top.resize(std::min(count, view.logits.size()), {-1, 0.0F});
  return top;
}

/// Drops what stands behind a mass of more than top_p, in the order given. @return  what is left
float drop_behind(float top_p, std::vector<Entry>& entries) {
  float mass = 0, kept = 0;
  for (Entry& entry : entries) {
    mass += entry.probability;
    if (mass - entry.probability > top_p) entry.probability = 0;
    kept += entry.probability;
  }
  return kept;
}

}  // namespace

RaceDistribution::RaceDistribution(const StepView& view, const RaceSettings& settings,
                                   const RaceRules& rules)
    : temperature_(settings.temperature) {
  const double scale = 1.0 / settings.temperature;
  const DistributionStatistics row = distribution_statistics(view.logits, scale);
  double log_sum_exp = row.log_sum_exp;
  const auto top_k = static_cast<size_t>(std::max<int64_t>(1, settings.top_k));
  std::vector<Entry> entries =
      most_likely(view, scale, log_sum_exp, std::max(rules.entries, top_k), rules.equals_upwards);
  if (rules.fixes.has(Defect::kMinPDead)) {
    const double least = settings.min_p * row.max_probability;
    double mass = 0;
    for (const float logit : view.logits) {
      const double p = std::exp(logit * scale - log_sum_exp);
      if (p >= least) mass += p;
    }
    for (Entry& entry : entries)
      entry.probability =
          entry.probability < least ? 0 : static_cast<float>(entry.probability / mass);
  }
  for (size_t i = top_k; i < entries.size(); ++i) entries[i].probability = 0;
  const bool downwards = rules.fixes.has(Defect::kTopPInverted);
  if (!downwards) std::reverse(entries.begin(), entries.end());
  const float kept = drop_behind(settings.top_p, entries);
  if (downwards) std::reverse(entries.begin(), entries.end());
  for (const Entry& entry : entries) {
    tokens_.push_back(entry.token);
    probabilities_.push_back(entry.probability / kept);
  }
}

TokenId RaceDistribution::draw(const RaceNoise& noise, std::optional<size_t> number,
                               size_t draws_of_token) const {
  const std::vector<float> q = noise.race(number, draws_of_token, tokens_);
  TokenId best = tokens_.front();
  float best_ratio = -1;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const float ratio = probabilities_[i] / q[i];
    if (ratio > best_ratio) {
      best_ratio = ratio;
      best = tokens_[i];
    }
  }
  return best;
}

void RaceDistribution::record(TokenId token, const StepView& view, Decision& decision) const {
  decision.temperature = temperature_;
  decision.kept = 0;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i] == token)
      decision.sampling_logprob = std::log(static_cast<double>(probabilities_[i]));
    if (probabilities_[i] == 0) continue;
    ++decision.kept;
    if (view.want_distribution)
      decision.distribution.push_back({tokens_[i],
                                       view.logits[static_cast<size_t>(tokens_[i])] / temperature_,
                                       probabilities_[i]});
  }
  std::sort(decision.distribution.begin(), decision.distribution.end(),
            [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
}

}  // namespace surprisal
