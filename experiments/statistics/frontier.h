#pragma once

#include <span>
#include <vector>

namespace surprisal {

/// A method's mean cost and accuracy.
struct CostAccuracy {
  double cost = 0;      ///< mean token_evaluations of an answer
  double accuracy = 0;  ///< share of right answers
};

/// What the baselines reach at every mean cost. Choosing between two methods by lot, question by
/// question, reaches every point between theirs, so the frontier is their upper concave hull. It
/// starts at (0, 0), as not answering costs nothing, and beyond its best baseline it stays level,
/// as nobody is forced to spend more.
class Frontier {
 public:
  /// @throws Error(kInternal) on a cost that is not positive or a figure that is not finite
  explicit Frontier(std::span<const CostAccuracy> baselines);

  /// The best accuracy the baselines reach at this mean cost (>= 0).
  double accuracy_at(double cost) const;

  /// The method's accuracy minus the frontier's at its own mean cost.
  double distance_above(const CostAccuracy& method) const {
    return method.accuracy - accuracy_at(method.cost);
  }

  /// (0, 0), then the baselines on the frontier, cost and accuracy both rising.
  const std::vector<CostAccuracy>& corners() const { return corners_; }

 private:
  std::vector<CostAccuracy> corners_;
};

}  // namespace surprisal
