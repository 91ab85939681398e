#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace surprisal {

/// Chance that the exact McNemar test rejects at `alpha`, when n questions are answered once by
/// each of two methods which disagree on a share `discordance` of them and differ in accuracy by
/// `difference`.
///   D ~ Binomial(n, discordance), wins | D ~ Binomial(D, 1/2 + difference / (2 discordance))
/// Exact, but for values of D of a total probability below 1e-12.
/// @throws Error(kInternal) unless n >= 0, 0 < discordance <= 1, |difference| <= discordance,
///         0 < alpha < 1
double mcnemar_power(int64_t n, double discordance, double difference, double alpha);

/// The smallest difference in accuracy that the exact McNemar test finds with this power, to 1e-6;
/// none where even winning every discordant pair would not be found so often.
/// @throws Error(kInternal) as mcnemar_power(), or on a power outside (0, 1)
std::optional<double> smallest_detectable_difference(int64_t n, double discordance,
                                                     double alpha = 0.05, double power = 0.8);

struct DetectableEffect {
  double discordance;
  std::optional<double> difference;
};

/// What a plan of n questions sees with power 0.8 at a discordance of 5, 10, 20 and 30 %. For a
/// family of m tests, alpha / m gives what is seen even of its smallest p-value.
std::vector<DetectableEffect> detectable_effects(int64_t n, double alpha = 0.05);

}  // namespace surprisal
