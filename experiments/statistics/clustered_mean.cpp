#include "experiments/statistics/clustered_mean.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "lib/error.h"

namespace surprisal {

Proportion clustered_mean(std::span<const double> values, std::span<const size_t> clusters,
                          double confidence) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.size() != clusters.size())
    throw Error(ErrorCode::kInternal, "clustered_mean: values without clusters");
  if (values.empty()) return {kNone, kNone, kNone};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  std::vector<double> residuals(1 + *std::ranges::max_element(clusters));
  for (size_t i = 0; i < values.size(); ++i) residuals[clusters[i]] += values[i] - mean;
  const auto count = static_cast<double>(residuals.size());
  const double squares =
      std::inner_product(residuals.begin(), residuals.end(), residuals.begin(), 0.0);
  if (count < 2 || squares <= 0) return {mean, kNone, kNone};
  const double error = std::sqrt(count / (count - 1) * squares) / n;
  const double t = boost::math::quantile(boost::math::students_t(count - 1), (1 + confidence) / 2);
  return {mean, mean - t * error, mean + t * error};
}

}  // namespace surprisal
