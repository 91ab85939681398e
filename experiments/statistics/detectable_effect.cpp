#include "experiments/statistics/detectable_effect.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "experiments/statistics/paired_binary.h"
#include "lib/error.h"

namespace surprisal {
namespace {

using boost::math::binomial;

/// The fewest and the most discordant pairs that are not negligibly rare, and for each number the
/// most losses with which the exact test still rejects (-1: none).
struct Plan {
  double discordance;
  int64_t first;
  std::vector<int64_t> critical_losses;
  std::vector<double> probability;
};

Plan make_plan(int64_t n, double discordance, double alpha) {
  constexpr double kNegligible = 5e-13;  // each tail left out
  const binomial pairs(static_cast<double>(n), discordance);
  Plan plan{discordance, static_cast<int64_t>(boost::math::quantile(pairs, kNegligible)), {}, {}};
  const auto last =
      static_cast<int64_t>(boost::math::quantile(boost::math::complement(pairs, kNegligible)));
  int64_t losses = -1;
  for (int64_t d = plan.first; d <= last; ++d) {
    // With one pair more the test affords as many losses as before, perhaps one more.
    while (2 * (losses + 1) <= d && mcnemar_exact_p(losses + 1, d - losses - 1) <= alpha) ++losses;
    plan.critical_losses.push_back(losses);
    plan.probability.push_back(boost::math::pdf(pairs, static_cast<double>(d)));
  }
  return plan;
}

double power_of(const Plan& plan, double difference) {
  const double win = std::clamp(0.5 + difference / (2 * plan.discordance), 0.0, 1.0);
  double power = 0;
  for (size_t i = 0; i < plan.critical_losses.size(); ++i) {
    const auto losses = static_cast<double>(plan.critical_losses[i]);
    if (losses < 0) continue;
    const auto d = static_cast<double>(plan.first + static_cast<int64_t>(i));
    const binomial wins(d, win);
    const double rejected = boost::math::cdf(wins, losses) +
                            boost::math::cdf(boost::math::complement(wins, d - losses - 1));
    power += plan.probability[i] * rejected;
  }
  return power;
}

void check(int64_t n, double discordance, double difference, double alpha) {
  if (n < 0 || !(discordance > 0 && discordance <= 1 && std::abs(difference) <= discordance &&
                 alpha > 0 && alpha < 1))
    throw Error(ErrorCode::kInternal, "mcnemar_power: impossible plan");
}

}  // namespace

double mcnemar_power(int64_t n, double discordance, double difference, double alpha) {
  check(n, discordance, difference, alpha);
  return power_of(make_plan(n, discordance, alpha), difference);
}

std::optional<double> smallest_detectable_difference(int64_t n, double discordance, double alpha,
                                                     double power) {
  check(n, discordance, 0, alpha);
  if (!(power > 0 && power < 1))
    throw Error(ErrorCode::kInternal, "smallest_detectable_difference: power outside (0, 1)");
  constexpr double kResolution = 1e-6;
  const Plan plan = make_plan(n, discordance, alpha);
  double low = 0, high = discordance;
  if (power_of(plan, high) < power) return std::nullopt;
  while (high - low > kResolution) {
    const double middle = std::midpoint(low, high);
    (power_of(plan, middle) < power ? low : high) = middle;
  }
  return high;
}

std::vector<DetectableEffect> detectable_effects(int64_t n, double alpha) {
  std::vector<DetectableEffect> effects;
  for (const double discordance : {0.05, 0.1, 0.2, 0.3})
    effects.push_back({discordance, smallest_detectable_difference(n, discordance, alpha)});
  return effects;
}

}  // namespace surprisal
