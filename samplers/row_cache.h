#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <vector>

#include "lib/distribution.h"

namespace surprisal {

/// What depends on a row of logits alone and was worked out for one request is kept here for all
/// others that look at the row. Belongs to one row; for one thread.
class RowCache {
 public:
  /// The `count` most likely, at least; see top_logits().
  std::span<const RankedLogit> top(std::span<const float> row, size_t count) {
    if (top_.size() < count && !complete_) {
      const size_t wanted = std::max(count, kFewest);
      top_ = top_logits(row, wanted);
      complete_ = top_.size() < wanted;
    }
    return top_;
  }
  /// distribution_statistics(row, scale)
  const DistributionStatistics& statistics(std::span<const float> row, double scale) {
    const auto known = heated_.find(scale);
    if (known != heated_.end()) return known->second;
    return heated_[scale] = distribution_statistics(row, scale);
  }

 private:
  static constexpr size_t kFewest = 256;  // what costs no more than fewer

  std::vector<RankedLogit> top_;
  bool complete_ = false;  ///< top_ holds every candidate
  std::map<double, DistributionStatistics> heated_;
};

}  // namespace surprisal
