#include "experiments/statistics/detectable_effect.h"

#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <numeric>

#include "experiments/statistics/paired_binary.h"
#include "lib/error.h"

namespace surprisal {
namespace {

using boost::math::binomial;

/// The most losses with which the exact test of `discordant` pairs still rejects; -1: none.
int64_t critical_losses(int64_t discordant, double alpha) {
  int64_t low = -1, high = discordant / 2;  // low rejects, high may not
  if (mcnemar_exact_p(high, discordant - high) <= alpha) return high;
  while (high - low > 1) {
    const int64_t middle = std::midpoint(low, high);
    (mcnemar_exact_p(middle, discordant - middle) <= alpha ? low : high) = middle;
  }
  return low;
}

}  // namespace

double mcnemar_power(int64_t n, double discordance, double difference, double alpha) {
  if (n < 0 || !(discordance > 0 && discordance <= 1 && std::abs(difference) <= discordance &&
                 alpha > 0 && alpha < 1))
    throw Error(ErrorCode::kInternal, "mcnemar_power: impossible plan");
  if (n == 0) return 0;
  constexpr double kNegligible = 5e-13;  // each tail of D left out
  const binomial pairs(static_cast<double>(n), discordance);
  const auto first = static_cast<int64_t>(boost::math::quantile(pairs, kNegligible));
  const auto last =
      static_cast<int64_t>(boost::math::quantile(boost::math::complement(pairs, kNegligible)));
  const double win = 0.5 + difference / (2 * discordance);
  double power = 0;
  for (int64_t d = std::max<int64_t>(first, 1); d <= last; ++d) {
    const int64_t losses = critical_losses(d, alpha);
    if (losses < 0) continue;
    const binomial wins(static_cast<double>(d), win);
    const double rejected =
        boost::math::cdf(wins, static_cast<double>(losses)) +
        boost::math::cdf(boost::math::complement(wins, static_cast<double>(d - losses - 1)));
    power += boost::math::pdf(pairs, static_cast<double>(d)) * rejected;
  }
  return power;
}

std::optional<double> smallest_detectable_difference(int64_t n, double discordance, double alpha,
                                                     double power) {
  if (!(power > 0 && power < 1))
    throw Error(ErrorCode::kInternal, "smallest_detectable_difference: power outside (0, 1)");
  constexpr double kResolution = 1e-6;
  double low = 0, high = discordance;
  if (mcnemar_power(n, discordance, high, alpha) < power) return std::nullopt;
  while (high - low > kResolution) {
    const double middle = std::midpoint(low, high);
    (mcnemar_power(n, discordance, middle, alpha) < power ? low : high) = middle;
  }
  return high;
}

}  // namespace surprisal
