#include "experiments/statistics/proportion.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>

#include "lib/error.h"

namespace surprisal {
namespace {

double normal_quantile(double probability) {
  return boost::math::quantile(boost::math::normal(), probability);
}

}  // namespace

Proportion wilson_interval(double successes, double trials, double confidence) {
  if (!(trials > 0 && successes >= 0 && successes <= trials && confidence > 0 && confidence < 1))
    throw Error(ErrorCode::kInternal, "wilson_interval: impossible counts or confidence");
  const double p = successes / trials;
  const double z = normal_quantile((1 + confidence) / 2);
  const double center = (p + z * z / (2 * trials)) / (1 + z * z / trials);
  const double half =
      z / (1 + z * z / trials) * std::sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials));
  // At the ends of [0, 1] the interval ends there exactly; rounding would miss by 1e-17.
  return {p, p == 0 ? 0 : std::max(0.0, center - half), p == 1 ? 1 : std::min(1.0, center + half)};
}

Proportion clustered_proportion(std::span<const Tally> clusters, double confidence) {
  double answers = 0, correct = 0, count = 0;
  for (const Tally& tally : clusters) {
    answers += static_cast<double>(tally.answers);
    correct += static_cast<double>(tally.correct);
    count += tally.answers > 0;
  }
  if (answers == 0) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    return {kNone, kNone, kNone};
  }
  if (count == answers) return wilson_interval(correct, answers, confidence);

  const double p = correct / answers;
  double effective = count;  // when all answers agree nothing tells how much they depend
  if (count > 1) {
    double squares = 0;
    for (const Tally& tally : clusters) {
      const double excess =
          static_cast<double>(tally.correct) - p * static_cast<double>(tally.answers);
      squares += excess * excess;
    }
    if (squares > 0) {
      const double variance = count / (count - 1) * squares / (answers * answers);
      effective = std::clamp(p * (1 - p) / variance, count, answers);
    }
    const double tail = (1 + confidence) / 2;
    const double t = boost::math::quantile(boost::math::students_t(count - 1), tail);
    effective *= std::pow(normal_quantile(tail) / t, 2);
  }
  return wilson_interval(p * effective, effective, confidence);
}

}  // namespace surprisal
