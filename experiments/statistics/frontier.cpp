#include "experiments/statistics/frontier.h"

#include <algorithm>
#include <cmath>

#include "lib/error.h"

namespace surprisal {
namespace {

/// Does b lie on or below the straight line from a to c?
bool is_below(const CostAccuracy& a, const CostAccuracy& b, const CostAccuracy& c) {
  return (b.accuracy - a.accuracy) * (c.cost - a.cost) <=
         (c.accuracy - a.accuracy) * (b.cost - a.cost);
}

}  // namespace

Frontier::Frontier(std::span<const CostAccuracy> baselines) : corners_{{0, 0}} {
  std::vector<CostAccuracy> points(baselines.begin(), baselines.end());
  for (const CostAccuracy& point : points)
    if (!(point.cost > 0 && std::isfinite(point.cost) && std::isfinite(point.accuracy)))
      throw Error(ErrorCode::kInternal, "a frontier needs finite figures and positive costs");
  std::sort(points.begin(), points.end(), [](const CostAccuracy& a, const CostAccuracy& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.accuracy > b.accuracy;
  });
  for (const CostAccuracy& point : points) {
    if (point.accuracy <= corners_.back().accuracy) continue;
    while (corners_.size() >= 2 && is_below(corners_[corners_.size() - 2], corners_.back(), point))
      corners_.pop_back();
    corners_.push_back(point);
  }
}

double Frontier::accuracy_at(double cost) const {
  const auto right = std::upper_bound(
      corners_.begin(), corners_.end(), cost,
      [](double value, const CostAccuracy& corner) { return value < corner.cost; });
  if (right == corners_.end()) return corners_.back().accuracy;
  const CostAccuracy& left = *(right - 1);  // (0, 0) is never right of a cost
  return std::lerp(left.accuracy, right->accuracy, (cost - left.cost) / (right->cost - left.cost));
}

}  // namespace surprisal
