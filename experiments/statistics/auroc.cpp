#include "experiments/statistics/auroc.h"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

/// For each member, how many of the other class lie on the right side of it, ties half: exact.
std::vector<double> placements(std::span<const double> scores,
                               std::span<const unsigned char> positive, double positives) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return scores[i]; });
  std::vector<double> counts(scores.size());
  double positives_below = 0, negatives_below = 0;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    double tied_positives = 0, tied_negatives = 0;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end)
      (positive[order[end]] != 0 ? tied_positives : tied_negatives) += 1;
    for (; begin < end; ++begin) {
      const size_t i = order[begin];
      counts[i] = positive[i] != 0 ? negatives_below + tied_negatives / 2
                                   : positives - positives_below - tied_positives / 2;
    }
    positives_below += tied_positives;
    negatives_below += tied_negatives;
  }
  return counts;
}

struct ClusterSums {
  double positives = 0, negatives = 0;            ///< members
  double over_positives = 0, over_negatives = 0;  ///< sums of placements, as shares
};

}  // namespace

Proportion clustered_auroc(std::span<const double> scores, std::span<const unsigned char> positive,
                           std::span<const size_t> clusters, double confidence) {
  if (scores.size() != positive.size() || scores.size() != clusters.size() ||
      !std::ranges::all_of(scores, [](double score) { return std::isfinite(score); }))
    throw Error(ErrorCode::kInternal, "clustered_auroc: scores without labels or not finite");
  const auto m =
      static_cast<double>(std::ranges::count_if(positive, [](auto p) { return p != 0; }));
  const double n = static_cast<double>(scores.size()) - m;
  if (m == 0 || n == 0) return {kNone, kNone, kNone};

  const std::vector<double> counts = placements(scores, positive, m);
  std::vector<ClusterSums> sums(1 + *std::ranges::max_element(clusters));
  for (size_t i = 0; i < scores.size(); ++i) {
    ClusterSums& sum = sums[clusters[i]];
    (positive[i] != 0 ? sum.positives : sum.negatives) += 1;
    (positive[i] != 0 ? sum.over_positives : sum.over_negatives) += counts[i];
  }
  double ordered_pairs = 0, with_positives = 0, with_negatives = 0;
  for (ClusterSums& sum : sums) {
    ordered_pairs += sum.over_positives;
    sum.over_positives /= n;
    sum.over_negatives /= m;
    with_positives += sum.positives > 0;
    with_negatives += sum.negatives > 0;
  }
  const double area = ordered_pairs / (m * n);
  if (area <= 0 || area >= 1 || with_positives < 2 || with_negatives < 2)
    return {area, kNone, kNone};

  double s10 = 0, s01 = 0, s11 = 0;
  for (const ClusterSums& sum : sums) {
    const double a = sum.over_positives - sum.positives * area;
    const double b = sum.over_negatives - sum.negatives * area;
    s10 += a * a;
    s01 += b * b;
    s11 += a * b;
  }
  const auto count = static_cast<double>(sums.size());
  s10 *= with_positives / ((with_positives - 1) * m);
  s01 *= with_negatives / ((with_negatives - 1) * n);
  s11 *= count / (count - 1);
  const double variance = std::max(0.0, s10 / m + s01 / n + 2 * s11 / (m * n));
  const double z = boost::math::quantile(boost::math::normal(), (1 + confidence) / 2);
  const double logit = std::log(area / (1 - area));
  const double reach = z * std::sqrt(variance) / (area * (1 - area));
  const auto logistic = [](double x) { return 1 / (1 + std::exp(-x)); };
  return {area, logistic(logit - reach), logistic(logit + reach)};
}

}  // namespace surprisal
