#include "samplers/entropix/dirichlet.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "samplers/entropix/metrics.h"

namespace surprisal {
namespace {

constexpr int kFitSteps = 140, kTuneSteps = 10;
constexpr double kFitTolerance = 1e-4, kTuneTolerance = 1e-6;

/// ln Gamma, without the global sign that std::lgamma writes.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

/// One value that many tokens share.
struct Group {
  double target, count, alpha;
  Polygamma at{};
  double step = 0;
};

/// Halley's step for all groups at once, into Group::step.
void halley_steps(std::vector<Group>& groups, double total) {
  const Polygamma sum_at = polygamma(total);
  double inverse_sum = 0, error_sum = 0;
  for (Group& g : groups) {
    g.at = polygamma(g.alpha);
    inverse_sum += g.count / g.at.psi1;
    error_sum += g.count * (g.at.psi - sum_at.psi - g.target) / g.at.psi1;
  }
  double denominator = 1 - sum_at.psi1 * inverse_sum;
  if (std::abs(denominator) < 1e-12) denominator = 1e-12;
  const double coefficient = sum_at.psi1 / denominator;
  double newton_sum = 0, curved_sum = 0;
  const auto newton = [&](const Group& g) {
    return ((g.at.psi - sum_at.psi - g.target) + coefficient * error_sum) / g.at.psi1;
  };
  for (const Group& g : groups) newton_sum += g.count * newton(g);
  const auto curved = [&](const Group& g) {
    return (g.at.psi2 * newton(g) - sum_at.psi2 * newton_sum) / g.at.psi1;
  };
  for (const Group& g : groups) curved_sum += g.count * curved(g);
  for (Group& g : groups)
    g.step = -newton(g) + 0.5 * (curved(g) + coefficient * curved_sum / g.at.psi1);
}

/// The entropy of softmax(log_p / t) and its first two derivatives by t, as published.
struct Slope {
  double entropy, first, second;
};
Slope entropy_slope(std::span<const float> log_p, double t, bool right_hessian) {
  double largest = -std::numeric_limits<double>::infinity();
  for (const float x : log_p) largest = std::max(largest, x / t);
  double z = 0, first = 0;
  for (const float x : log_p) {
    const double d = x / t - largest, w = std::exp(d);
    z += w;
    first += w > 0 ? w * d : 0;
  }
  const double log_z = std::log(z), mean = first / z - log_z;
  double mu2 = 0, mu3 = 0;
  for (const float x : log_p) {
    const double log_q = x / t - largest - log_z, q = std::exp(log_q);
    if (q == 0) continue;
    const double d = log_q - mean;
    mu2 += q * d * d;
    mu3 += q * d * d * d;
  }
  return {-mean, mu2 / t, -((right_hessian ? 1 : 2) * mu3 + 3 * mu2) / (t * t)};
}

}  // namespace

Polygamma polygamma(double x) {
  constexpr double kAsymptotic = 10;  // from here on the series below is exact to 1e-13
  Polygamma sum{0, 0, 0};
  for (; x < kAsymptotic; x += 1) {
    const double r = 1 / x;
    sum.psi -= r;
    sum.psi1 += r * r;
    sum.psi2 -= 2 * r * r * r;
  }
  const double r = 1 / x, s = r * r;
  sum.psi += std::log(x) - r / 2 -
             s * (1.0 / 12 - s * (1.0 / 120 - s * (1.0 / 252 - s * (1.0 / 240 - s / 132))));
  sum.psi1 +=
      r + s / 2 + r * s * (1.0 / 6 - s * (1.0 / 30 - s * (1.0 / 42 - s * (1.0 / 30 - s * 5 / 66))));
  sum.psi2 -=
      s + r * s + s * s * (1.0 / 2 - s * (1.0 / 6 - s * (1.0 / 6 - s * (3.0 / 10 - s * 5 / 6))));
  return sum;
}

std::vector<float> fit_dirichlet(std::span<const float> targets) {
  std::unordered_map<float, size_t> group_of;
  std::vector<Group> groups;
  std::vector<size_t> index(targets.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    if (!std::isfinite(targets[i]))  // NaN reaches every alpha through the sums
      return std::vector<float>(targets.size(), std::numeric_limits<float>::quiet_NaN());
    const auto [found, is_new] = group_of.try_emplace(targets[i], groups.size());
    if (is_new) groups.push_back({targets[i], 0, 1});
    groups[found->second].count += 1;
    index[i] = found->second;
  }
  for (int step = 1; step <= kFitSteps; ++step) {
    double total = 0, square = 0;
    for (const Group& g : groups) total += g.count * g.alpha;
    halley_steps(groups, total);
    const double psi_total = polygamma(total).psi;
    for (const Group& g : groups) {
      const double error = g.at.psi - psi_total - g.target;
      square += g.count * error * error;
    }
    if (std::sqrt(square) < kFitTolerance) break;
    const double rate = std::max(1e-8, 1.2 * std::exp(-0.1 * std::pow(step, 0.75)) *
                                           std::abs(std::cos(2.0 / std::pow(step, 0.25))));
    for (Group& g : groups)
      g.alpha =
          std::max(g.alpha + std::clamp(rate * g.step, -0.5 * g.alpha, 0.5 * g.alpha), g.alpha / 2);
  }
  std::vector<float> alpha(targets.size());
  for (size_t i = 0; i < targets.size(); ++i)
    alpha[i] = to_bf16(static_cast<float>(groups[index[i]].alpha));
  return alpha;
}

double dirichlet_log_likelihood(std::span<const float> log_p, std::span<const float> alpha,
                                bool right_sign) {
  double power = 0, total = 0, log_gammas = 0;
  float last = -1;
  double last_log_gamma = 0;
  for (size_t i = 0; i < log_p.size(); ++i) {
    power += (static_cast<double>(alpha[i]) - 1) * log_p[i];
    total += alpha[i];
    if (alpha[i] != last) last_log_gamma = log_gamma(last = alpha[i]);
    log_gammas += last_log_gamma;
  }
  const double log_beta = log_gammas - log_gamma(total);
  return right_sign ? power - log_beta : power + log_beta;
}

double dirichlet_expected_entropy(std::span<const float> alpha) {
  double total = 0, log_gammas = 0, weighted = 0;
  for (const float a : alpha) {
    total += a;
    log_gammas += log_gamma(a);
    weighted += (a - 1.0) * polygamma(a).psi;
  }
  const double log_beta = log_gammas - log_gamma(total);
  return log_beta + (total - static_cast<double>(alpha.size())) * polygamma(total).psi - weighted;
}

float tune_temperature(std::span<const float> log_p, double target, bool right_hessian) {
  double t = 1;
  for (int step = 0; step < kTuneSteps; ++step) {
    const auto [entropy, grad, hess] = entropy_slope(log_p, t, right_hessian);
    const double error = entropy - target;
    if (std::abs(error) < kTuneTolerance) break;
    const double denominator = 2 * grad * grad - error * hess;
    // A target that is NaN halves T until the slope is gone, and then heats it again.
    double delta = std::numeric_limits<double>::infinity();
    if (std::abs(grad) < 1e-8)
      delta = error > 0 ? 0.1 * t : -0.1 * t;
    else if (std::abs(denominator) < 1e-8)
      delta = error / grad;
    else if (!std::isnan(denominator))
      delta = 2 * error * grad / denominator;
    t = std::max(t - std::clamp(delta, -0.5 * t, 0.5 * t), t / 2);
  }
  return to_bf16(static_cast<float>(t));
}

EntropyPair entropy_of(std::span<const float> log_p) {
  double entropy = 0, varentropy = 0;
  for (const float l : log_p) entropy -= std::exp(static_cast<double>(l)) * l;
  for (const float l : log_p)
    varentropy += std::exp(static_cast<double>(l)) * (l + entropy) * (l + entropy);
  return {entropy, varentropy};
}

}  // namespace surprisal
