#pragma once

#include <cmath>
#include <initializer_list>

namespace surprisal {

/// The value of smallest magnitude: how near a decision was to turning out differently.
inline double nearest_to_zero(std::initializer_list<double> distances) {
  double nearest = *distances.begin();
  for (const double distance : distances)
    if (std::abs(distance) < std::abs(nearest)) nearest = distance;
  return nearest;
}

}  // namespace surprisal
