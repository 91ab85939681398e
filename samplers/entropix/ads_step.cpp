#include "samplers/entropix/ads_step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "lib/top_logits.h"
#include "samplers/entropix/dirichlet.h"
#include "samplers/entropix/dirichlet_draw.h"
#include "samplers/entropix/metrics.h"

namespace surprisal {
namespace {

constexpr double kEpsilon = 1e-8;

/// l - max - log-sum-exp, with what is below the noise floor set to ln 1e-8.
std::vector<float> normalized(std::span<const float> logits, double scale,
                              const AdsConfig& config) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double z = 0;
  for (const float l : logits) z += std::exp(scale * (static_cast<double>(l) - largest));
  const double log_z = std::log(z) + (config.noise_floor ? kEpsilon : 0);
  const auto floored = static_cast<float>(std::log(kEpsilon));
  std::vector<float> result(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double value = scale * (static_cast<double>(logits[i]) - largest) - log_z;
    result[i] =
        config.noise_floor && value < *config.noise_floor ? floored : static_cast<float>(value);
  }
  return result;
}

float averaged(double now, double before, double coefficient) {
  return static_cast<float>(coefficient * now + (1 - coefficient) * before);
}

/// Draws by weight and keeps the distribution.
TokenId choose(std::vector<Candidate> candidates, const Draws& draws, AdsStep& step) {
  const TokenId token = categorical_draw(candidates, draws);
  double total = 0;
  for (const Candidate& c : candidates) total += c.probability;
  for (Candidate& c : candidates) c.probability = static_cast<float>(c.probability / total);
  step.distribution = std::move(candidates);
  return token;
}

constexpr AdsConfig kE982dd5 = {.average = .15,
                                .average_temperature = 1,
                                .average_direction_entropy = .15,
                                .cross_entropy = .15,
                                .cross_variance_scaffold = .15,
                                .cross_variance_naked = .15,
                                .logp_base = 1.5,
                                .logp_exponent = 2.5,
                                .perturb_base = .95,
                                .perturb_exponent = 2.5,
                                .noise_floor = std::nullopt,
                                .bilinear_diagonal = .15,
                                .bilinear_elsewhere = 0,
                                .linear_state = .15,
                                .linear_naked = .15,
                                .outlier_bias = .1,
                                .argmax_weight = 1.2,
                                .argmax_bias = .1,
                                .dirichlet_weight = 1.2,
                                .dirichlet_bias = .1,
                                .target_linear = .15,
                                .target_inverse_temperature = 1.2,
                                .target_bias = .1,
                                .top_k = 5,
                                .starts_empty = true,
                                .mixes_expectation = true,
                                .crossed_variances = true};
constexpr AdsConfig kF0b8ea6 = {.average = .7,
                                .average_temperature = .7,
                                .average_direction_entropy = .7,
                                .cross_entropy = .65,
                                .cross_variance_scaffold = .75,
                                .cross_variance_naked = .65,
                                .logp_base = 4,
                                .logp_exponent = 3,
                                .perturb_base = 10,
                                .perturb_exponent = 1,
                                .noise_floor = -12,
                                .bilinear_diagonal = 1.3,
                                .bilinear_elsewhere = 1.3,
                                .linear_state = .8,
                                .linear_naked = 1.2,
                                .outlier_bias = 0,
                                .argmax_weight = 1,
                                .argmax_bias = 5,
                                .dirichlet_weight = 1,
                                .dirichlet_bias = 5,
                                .target_linear = 1,
                                .target_inverse_temperature = 8,
                                .target_bias = 0,
                                .top_k = 3,
                                .starts_empty = false,
                                .mixes_expectation = false,
                                .crossed_variances = false};
constexpr AdsConfig head_config() {
  AdsConfig config = kF0b8ea6;
  config.argmax_weight = config.dirichlet_weight = .1;
  config.argmax_bias = config.dirichlet_bias = 1.2;
  config.top_k = 6;
  return config;
}
constexpr AdsConfig kHead = head_config();

/// e'Bs + a.e + b.s + cH + dV + bias over the four entropies e and deviations s of the averages.
double outlier_score(const AdsAverages& a, double entropy, double varentropy, const AdsConfig& c) {
  const double e[] = {a.cross_entropy_scaffold, a.cross_entropy_naked, a.entropy_scaffold,
                      a.entropy_naked};
  const double s[] = {std::sqrt(a.cross_variance_scaffold), std::sqrt(a.cross_variance_naked),
                      std::sqrt(a.varentropy_scaffold), std::sqrt(a.varentropy_naked)};
  double score = c.linear_naked * (entropy + varentropy) + c.outlier_bias;
  for (int i = 0; i < 4; ++i) {
    score += c.linear_state * (e[i] + s[i]);
    for (int j = 0; j < 4; ++j)
      score += e[i] * s[j] * (i == j ? c.bilinear_diagonal : c.bilinear_elsewhere);
  }
  return score;
}

double target_entropy(const AdsAverages& a, const AdsConfig& c) {
  return c.target_linear * (static_cast<double>(a.cross_entropy_scaffold) + a.cross_entropy_naked +
                            a.entropy_scaffold + a.entropy_naked) +
         c.target_inverse_temperature / a.temperature + c.target_bias;
}

}  // namespace

const AdsConfig& ads_config(EntropixVariant variant) {
  if (variant == EntropixVariant::kAdsE982dd5) return kE982dd5;
  return variant == EntropixVariant::kAdsF0b8ea6 ? kF0b8ea6 : kHead;
}

void AdsPrompt::add(std::span<const float> logits, const AdsConfig& config) {
  const std::vector<float> logp = normalized(logits, 1, config);
  logp_.resize(logp.size(), 0);
  for (size_t i = 0; i < logp.size(); ++i) logp_[i] += logp[i];
  const auto [entropy, varentropy] = entropy_of(logp);
  entropy_ += entropy;
  varentropy_ += varentropy;
  std::vector<float> top;
  for (const auto& [index, value] : top_logits(logp, static_cast<size_t>(config.top_k))) {
    top.push_back(value);
    top_logp_ += value;
    top_logp_squared_ += static_cast<double>(value) * value;
  }
  top_k_entropy_ += entropy_of(normalized(top, 1, config)).entropy;
  ++count_;
}

AdsAverages AdsPrompt::averages(const AdsConfig& config, const Fixes& fixes) const {
  AdsAverages a;
  const auto positions = static_cast<double>(count_);
  for (const double sum : logp_) a.logp.push_back(static_cast<float>(sum / positions));
  a.alpha = fit_dirichlet(a.logp);
  a.entropy_scaffold = a.entropy_naked = a.cross_entropy_scaffold =
      static_cast<float>(entropy_ / positions);
  a.varentropy_naked = static_cast<float>(varentropy_ / positions);
  const double seen = positions * static_cast<double>(config.top_k);
  const double mean = top_logp_ / seen;
  a.cross_entropy_naked = static_cast<float>(-mean);
  a.cross_variance_naked =
      static_cast<float>(std::max(0.0, top_logp_squared_ / seen - mean * mean));
  // The likelihood is linear in ln p, so its mean is that of the mean.
  const bool right = fixes.has(Defect::kAdsLikelihoodSign);
  const double likelihood = dirichlet_log_likelihood(a.logp, a.alpha, right);
  a.direction_entropy = static_cast<float>(right ? -likelihood : likelihood);
  a.top_k_entropy = static_cast<float>(top_k_entropy_ / positions);
  return a;
}

AdsAverages ads_empty_averages(size_t vocab) {
  AdsAverages averages;
  averages.alpha.assign(vocab, 1.0F);
  averages.logp.assign(vocab, 0.0F);
  return averages;
}

AdsStep ads_step(std::span<const float> logits, const AdsAverages& averages,
                 const AdsConfig& config, const Fixes& fixes, const Draws& draws) {
  const auto banned = [&](size_t i) { return !std::isfinite(logits[i]); };
  AdsStep step;
  const std::vector<float> naked = normalized(logits, 1, config);
  const auto [entropy, varentropy] = entropy_of(naked);
  step.entropy = entropy;
  step.varentropy = varentropy;
  step.outlier = outlier_score(averages, entropy, varentropy, config);
  const bool outlier = step.outlier > 0;  // false for NaN

  // Inliers: the most likely, or a draw from the top k at the usual entropy.
  std::vector<TokenId> top;
  std::vector<float> top_values;
  for (const auto& [index, value] : top_logits(logits, static_cast<size_t>(config.top_k))) {
    top.push_back(index);
    top_values.push_back(naked[static_cast<size_t>(index)]);
  }
  const std::vector<float> top_logp = normalized(top_values, 1, config);
  const double top_entropy = entropy_of(top_logp).entropy;
  const double argmax_below = config.argmax_weight * averages.top_k_entropy + config.argmax_bias;
  const bool right_hessian = fixes.has(Defect::kAdsHessian);
  if (!outlier && top_entropy < argmax_below) {
    step.token = top[0];
    step.distribution = {{top[0], logits[static_cast<size_t>(top[0])], 1.0F}};
  } else if (!outlier) {
    step.policy = AdsStep::Policy::kTopK;
    const double t = tune_temperature(top_logp, averages.top_k_entropy, right_hessian);
    step.temperature = std::isnan(t) ? 1 : t;
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < top.size(); ++i) {  // against the largest: a tiny T underflows else
      const double logit = (top_logp[i] - top_logp[0]) / step.temperature, p = std::exp(logit);
      if (p > 0) candidates.push_back({top[i], static_cast<float>(logit), static_cast<float>(p)});
    }
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
    step.token = choose(std::move(candidates), draws, step);
  }

  // Everybody: tune the temperature to the target entropy, move the averages.
  const float tuned_temperature =
      tune_temperature(naked, target_entropy(averages, config), right_hessian);
  const double clipped = std::clamp<double>(tuned_temperature, 1e-4, 1e4);
  const std::vector<float> logp = normalized(normalized(naked, 1 / clipped, config), 1, config);
  double kl = 0;
  for (size_t i = 0; i < logp.size(); ++i)
    if (const double p = std::exp(static_cast<double>(logp[i])); p > 0)
      kl += p * (logp[i] - averages.logp[i]);
  const double coefficient = std::pow(config.logp_base, -config.logp_exponent / (kl + kEpsilon));
  AdsAverages& next = step.next;
  next.logp.resize(logp.size());
  for (size_t i = 0; i < logp.size(); ++i)
    next.logp[i] = averaged(logp[i], averages.logp[i], coefficient);
  next.alpha = fit_dirichlet(next.logp);
  const double likelihood =
      dirichlet_log_likelihood(logp, averages.alpha, fixes.has(Defect::kAdsLikelihoodSign));
  const bool use_dirichlet =
      outlier &&
      -likelihood < config.dirichlet_weight * averages.direction_entropy + config.dirichlet_bias;

  // Outliers: a mixture with a Dirichlet distribution, or a draw from that alone.
  std::vector<float> direction;  // what is mixed in
  double mixing_kl = 0;
  if (config.mixes_expectation) {
    double total = 0;
    for (const float a : averages.alpha) total += a;
    for (const float a : averages.alpha) direction.push_back(static_cast<float>(a / total));
    const double spread = dirichlet_expected_entropy(averages.alpha);
    mixing_kl = fixes.has(Defect::kAdsMixing) ? -spread : spread;
    for (size_t i = 0; i < logp.size(); ++i)
      if (!banned(i)) mixing_kl -= direction[i] * static_cast<double>(logp[i]);
  } else {
    direction = dirichlet_draw(next.alpha, draws);
    for (size_t i = 0; i < logp.size(); ++i)
      mixing_kl += direction[i] * (std::log(direction[i] + kEpsilon) - logp[i]);
  }
  const double base = fixes.has(Defect::kAdsMixing) ? 2 - config.perturb_base : config.perturb_base;
  const double share = 1 - std::pow(base, -config.perturb_exponent / (mixing_kl + kEpsilon));
  std::vector<float> mixture(logp.size()), log_mixture(logp.size());
  for (size_t i = 0; i < logp.size(); ++i) {
    mixture[i] = static_cast<float>(share * direction[i] +
                                    (1 - share) * std::exp(static_cast<double>(logp[i])));
    log_mixture[i] = static_cast<float>(std::log(mixture[i] + kEpsilon));
  }
  if (use_dirichlet) {
    step.policy = AdsStep::Policy::kDirichlet;
    float largest = -std::numeric_limits<float>::infinity();
    for (size_t i = 0; i < mixture.size(); ++i)
      if (!banned(i) && (step.token < 0 || mixture[i] > largest)) {
        largest = mixture[i];
        step.token = static_cast<TokenId>(i);
      }
    step.distribution = {{step.token, logits[static_cast<size_t>(step.token)], 1.0F}};
  } else if (outlier) {
    step.policy = AdsStep::Policy::kOutOfDistribution;
    if (config.mixes_expectation) direction = dirichlet_draw(next.alpha, draws);
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < direction.size(); ++i) {
      const double weight = (std::isnan(direction[i]) ? 0 : direction[i]) + kEpsilon;
      if (!banned(i))
        candidates.push_back({static_cast<TokenId>(i), static_cast<float>(std::log(weight)),
                              static_cast<float>(weight)});
    }
    step.token = choose(std::move(candidates), draws, step);
  }
  if (outlier) step.temperature = tuned_temperature;

  const auto chosen = static_cast<size_t>(step.token);
  const auto [scaffold_entropy, scaffold_varentropy] = entropy_of(log_mixture);
  const double scaffold_logp = log_mixture[chosen];
  const double naked_logp =
      fixes.has(Defect::kAdsNan) ? naked[chosen] : std::log(naked[chosen] + kEpsilon);
  const double c = config.average;
  // bfloat16 throughout, as the temperature is.
  const float weighted =
      to_bf16(static_cast<float>(config.average_temperature) * tuned_temperature);
  const float rest =
      to_bf16(static_cast<float>(1 - config.average_temperature) * averages.temperature);
  next.temperature = to_bf16(weighted + rest);
  next.entropy_naked = averaged(entropy, averages.entropy_naked, c);
  next.varentropy_naked = averaged(varentropy, averages.varentropy_naked, c);
  next.top_k_entropy = averaged(top_entropy, averages.top_k_entropy, c);
  next.direction_entropy =
      averaged(-likelihood, averages.direction_entropy, config.average_direction_entropy);
  next.entropy_scaffold = averaged(scaffold_entropy, averages.entropy_scaffold, c);
  next.varentropy_scaffold = averaged(scaffold_varentropy, averages.varentropy_scaffold, c);
  next.cross_entropy_naked =
      averaged(-naked_logp, averages.cross_entropy_naked, config.cross_entropy);
  next.cross_entropy_scaffold =
      averaged(-scaffold_logp, averages.cross_entropy_scaffold, config.cross_entropy);
  next.cross_variance_naked = averaged(std::pow(next.cross_entropy_naked - naked_logp, 2),
                                       averages.cross_variance_naked, config.cross_variance_naked);
  next.cross_variance_scaffold =
      averaged(std::pow(next.cross_entropy_scaffold - scaffold_logp, 2),
               averages.cross_variance_scaffold, config.cross_variance_scaffold);
  if (config.crossed_variances) std::swap(next.cross_variance_naked, next.cross_variance_scaffold);
  return step;
}

}  // namespace surprisal
