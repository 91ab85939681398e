#pragma once

#include <cstdint>

namespace surprisal {

/// One of several equal workers that share a computation.
struct WorkShare {
  int rank = 0, ranks = 1;
  /// This worker's part [begin(n), end(n)) of n items.
  int64_t begin(int64_t n) const { return n * rank / ranks; }
  int64_t end(int64_t n) const { return n * (rank + 1) / ranks; }
};

}  // namespace surprisal
