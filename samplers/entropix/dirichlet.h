#pragma once

#include <span>
#include <vector>

namespace surprisal {

/// The mathematics of the "adaptive Dirichlet sampler", as published.
/// Source: xjdr-alt/entropix@0a7f7bb entropix/dslider.py, dslider_utils.py.

/// Digamma and its first two derivatives. x > 0. Relative error below 1e-12.
struct Polygamma {
  double psi, psi1, psi2;
};
Polygamma polygamma(double x);

/// alpha of the Dirichlet distribution whose expected logarithms are `targets`: at most 140 Halley
/// steps from alpha = 1 with a decaying rate, each clipped to half of alpha, until the error's norm
/// is below 1e-4. Tokens with the same target take the same steps, which are made once.
/// @param targets  [V] nats
/// @return         [V], rounded to bfloat16 as the original is
std::vector<float> fit_dirichlet(std::span<const float> targets);

/// sum (alpha - 1) ln p - ln B'(alpha), where the original has the normaliser's sign wrong: it
/// subtracts ln Gamma(sum alpha) and adds the sum of ln Gamma(alpha).
/// @param log_p [V];  @param alpha [V];  @param right_sign  the density's own
double dirichlet_log_likelihood(std::span<const float> log_p, std::span<const float> alpha,
                                bool right_sign);

/// E[H(p)] of p ~ Dir(alpha) as ads_e982dd5 computes it:
/// ln B(alpha) + (a0 - V) psi(a0) - sum (alpha - 1) psi(alpha).
double dirichlet_expected_entropy(std::span<const float> alpha);

/// The temperature at which softmax(log_p / T) has entropy `target`: ten Halley steps from T = 1,
/// each clipped to half of T. Rounded to bfloat16.
/// @param right_hessian  with the entropy's second derivative as it is; the original has its third
///                       moment twice
float tune_temperature(std::span<const float> log_p, double target, bool right_hessian);

/// Entropy (nats) and varentropy (nats^2) of log-probabilities that need not sum to 1.
struct EntropyPair {
  double entropy, varentropy;
};
EntropyPair entropy_of(std::span<const float> log_p);

}  // namespace surprisal
