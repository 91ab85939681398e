#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/distribution.h"
#include "lib/params.h"
#include "lib/tokenizer.h"

namespace surprisal {

/// A fork in the road: between 2 and `max_tokens` tokens with p >= ratio * p1, which together cover
/// at least `mass`.
struct ForkPredicate {
  int64_t max_tokens;
  double ratio, mass;

  /// The alternatives, the most likely first; empty where there is no fork.
  /// @param statistics  of `logits`
  std::vector<TokenId> alternatives(std::span<const float> logits,
                                    const DistributionStatistics& statistics) const;
  bool holds(std::span<const float> logits, const DistributionStatistics& statistics) const {
    return !alternatives(logits, statistics).empty();
  }
};

/// @throws Error(kConfig)
ForkPredicate read_fork_predicate(ParamReader& params);

}  // namespace surprisal
