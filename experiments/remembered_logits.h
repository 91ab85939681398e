#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "experiments/token_tree.h"

namespace surprisal {

/// The logits of past forward passes, for requests that come by later. Contexts hold rows of their
/// pass's tensor, not copies, so it is there as long as one of them is remembered.
class RememberedLogits {
 public:
  /// @param bytes  that may be held; what somebody waits at stays in any case
  explicit RememberedLogits(int64_t bytes) : allowed_bytes_(bytes) {}

  /// Gives each context its row.
  /// @param logits  [B, V] float32 on the host, contiguous
  /// @param nodes   B, null where a row ends where nobody waits
  void add(const at::Tensor& logits, std::span<TokenNode* const> nodes);
  /// Drops the oldest passes beyond the allowance, never the newest: contexts nobody waits at lose
  /// their evaluation, and whoever comes there later has that one token computed again.
  void shrink();
  /// Drops what belongs to a tree, before it goes.
  void forget(const TokenTree& tree);
  void clear();

 private:
  struct Pass {
    at::Tensor logits;
    std::vector<TokenNode*> nodes;  ///< which hold rows of it, unless evaluated again since
  };

  /// Forgets what nobody waits at, and the pass's tensor where few of its rows are left.
  void reduce(const Pass& pass);

  int64_t allowed_bytes_;
  int64_t bytes_ = 0;
  std::deque<Pass> passes_;  ///< oldest first
};

}  // namespace surprisal
