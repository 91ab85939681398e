#include "experiments/statistics/paired_binary.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <numeric>

#include "lib/error.h"

namespace surprisal {

double mcnemar_exact_p(int64_t only_first, int64_t only_second) {
  if (only_first < 0 || only_second < 0)
    throw Error(ErrorCode::kInternal, "mcnemar_exact_p: negative counts");
  const int64_t discordant = only_first + only_second;
  if (discordant == 0) return 1;
  const boost::math::binomial fair(static_cast<double>(discordant), 0.5);
  return std::min(
      1.0, 2 * boost::math::cdf(fair, static_cast<double>(std::min(only_first, only_second))));
}

double smallest_mcnemar_p(int64_t discordant) {
  return std::min(1.0, std::exp2(1.0 - static_cast<double>(discordant)));
}

Interval tango_interval(const PairedCounts& counts, double confidence) {
  if (counts.both < 0 || counts.only_first < 0 || counts.only_second < 0 || counts.neither < 0 ||
      counts.total() == 0 || !(confidence > 0 && confidence < 1))
    throw Error(ErrorCode::kInternal, "tango_interval: impossible counts or confidence");
  const auto n = static_cast<double>(counts.total());
  const auto b = static_cast<double>(counts.only_first);
  const auto c = static_cast<double>(counts.only_second);
  const double z = boost::math::quantile(boost::math::normal(), (1 + confidence) / 2);

  // Is the difference d compatible with the counts? Both sides of the definition squared.
  const auto is_inside = [&](double d) {
    const double linear = (2 * n - b + c) * d - b - c;  // 2 n q² + linear q - c d (1 - d) = 0
    const double constant = -c * d * (1 - d);
    const double q = (std::sqrt(linear * linear - 8 * n * constant) - linear) / (4 * n);
    const double variance = n * (2 * q + d * (1 - d));
    return std::pow(b - c - n * d, 2) <= z * z * variance;
  };
  const double estimate = (b - c) / n;  // always inside
  const auto boundary = [&](double outside) {
    if (is_inside(outside)) return outside;
    double inside = estimate;
    for (;;) {
      const double middle = std::midpoint(inside, outside);
      if (middle == inside || middle == outside) return inside;
      (is_inside(middle) ? inside : outside) = middle;
    }
  };
  return {boundary(-1), boundary(1)};
}

}  // namespace surprisal
