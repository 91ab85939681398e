#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace surprisal {

/// An index into a row of logits and its value.
struct RankedLogit {
  int32_t index;
  float logit;
};

/// The `count` largest logits in descending order, the lower index first among equals; fewer when
/// the row has fewer above -inf. Costs about one pass while `count` is small against V.
std::vector<RankedLogit> top_logits(std::span<const float> logits, size_t count);

}  // namespace surprisal
