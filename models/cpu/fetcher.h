#pragma once

#include <cstddef>
#include <cstdint>

#include "models/cpu/attention_kernels.h"
#include "models/cpu/prefetch.h"

namespace surprisal {

/// Fetches what attention reads next, a few cache lines with every step of a call.
/// Blocks lie anywhere in memory, where hardware does not foresee them, and to fetch a chunk takes
/// about as long as to compute with one: whatever is not spread over the whole call comes on top
/// of it.
class Fetcher {
 public:
  explicit Fetcher(const ChunkCall& call)
      : blocks_(call.next),
        left_(call.next_blocks),
        block_bytes_(kBlockKeys * call.dim * cache_bytes(call.cache)) {}

  /// @param lines  a few, which may reach past the end of a block
  HWY_INLINE void fetch(int lines) {
    if (line_ >= end_) {
      if (left_ == 0) return;
      --left_;
      line_ = static_cast<const std::byte*>(*blocks_++);
      end_ = line_ + block_bytes_;
    }
    for (int i = 0; i < lines; ++i) prefetch_to_l2(line_ + i * kLineBytes);
    line_ += lines * kLineBytes;
  }

  HWY_INLINE void fetch_rest() {
    while (line_ < end_ || left_ > 0) fetch(kFew);
  }

 private:
  static constexpr int kFew = 4;
  const void* const* blocks_;
  int64_t left_;
  int64_t block_bytes_;
  const std::byte *line_ = nullptr, *end_ = nullptr;
};

}  // namespace surprisal
