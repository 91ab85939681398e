#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace surprisal {

/// What is kept of a set of scores s (nats) to know its softmax's entropy, varentropy and
/// log-sum-exp; sets merge. With m the shift (usually the maximum) and e = exp(s - m):
///   z = sum e,   a = sum e (s - m),   b = sum e (s - m)^2.
/// The merge of flash-decoding with two more moments; masked scores never enter.
struct SoftmaxState {
  double m = -std::numeric_limits<double>::infinity();
  double z = 0, a = 0, b = 0;

  /// `count` equal scores.
  static SoftmaxState of(double score, double count = 1) { return {score, count, 0, 0}; }

  /// e^x; most shifts are by 0, which takes no call. NaN, of infinite scores, stays.
  static double exponential(double x) { return x == 0 ? 1 : std::exp(x); }

  /// The same set about the shift `to` >= m.
  SoftmaxState shifted(double to) const {
    if (z == 0) return {to, 0, 0, 0};
    const double delta = m - to, c = exponential(delta);
    return {to, c * z, c * (a + delta * z), c * (b + 2 * delta * a + delta * delta * z)};
  }

  SoftmaxState merged(const SoftmaxState& other) const {
    if (z == 0) return other;
    if (other.z == 0) return *this;
    const double to = std::max(m, other.m);
    const SoftmaxState x = shifted(to), y = other.shifted(to);
    return {to, x.z + y.z, x.a + y.a, x.b + y.b};
  }

  struct Summary {
    double entropy;      ///< nats
    double varentropy;   ///< nats^2
    double log_sum_exp;  ///< nats
  };
  Summary summary() const {
    const double log_z = std::log(z), mean = a / z;
    // Rounding must not make the varentropy negative.
    return {log_z - mean, std::max(0.0, b / z - mean * mean), m + log_z};
  }
  /// Probability of one score.
  double probability(double score) const { return exponential(score - m) / z; }
};

}  // namespace surprisal
