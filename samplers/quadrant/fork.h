#pragma once

#include <cstdint>
#include <vector>

#include "lib/params.h"
#include "samplers/sampler.h"

namespace surprisal {

/// A fork in the road: between 2 and `max_tokens` tokens with p >= ratio * p1, which together cover
/// at least `mass`.
struct ForkPredicate {
  int64_t max_tokens;
  double ratio, mass;

  /// The alternatives, the most likely first; empty where there is no fork.
  std::vector<TokenId> alternatives(const StepView& view) const;
  bool holds(const StepView& view) const { return !alternatives(view).empty(); }
};

/// @throws Error(kConfig)
ForkPredicate read_fork_predicate(ParamReader& params);

}  // namespace surprisal
