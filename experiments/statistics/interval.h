#pragma once

namespace surprisal {

/// A two-sided interval.
struct Interval {
  double low = 0, high = 0;
};

}  // namespace surprisal
