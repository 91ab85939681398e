#include "samplers/sampler.h"

#include <algorithm>

namespace surprisal {

std::vector<RankedLogit> StepView::top(size_t count) const {
  if (shared == nullptr) return top_logits(logits, count);
  const auto known = shared->top(logits, count);  // or more
  const auto wanted = known.first(std::min(count, known.size()));
  return {wanted.begin(), wanted.end()};
}

}  // namespace surprisal
