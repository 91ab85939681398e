#pragma once

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "models/cpu/prefetch.h"

namespace surprisal {

/// What a rank will read next, of which it asks for a little whenever it waits for the others. A
/// core has only some 3 KB on their way at a time, so that memory would rest while it waits.
class Upcoming {
 public:
  /// @param memory  a part of which stays in the second-level cache beside what is in use
  void expect(std::span<const std::byte> memory) {
    constexpr size_t kBytes = size_t{64} << 10;
    left_ = memory.first(std::min(memory.size(), kBytes));
  }
  HWY_INLINE void fetch() {
    constexpr size_t kBytes = 4 * kLineBytes;
    if (left_.size() < kBytes) return hwy::Pause();
    for (size_t at = 0; at < kBytes; at += kLineBytes) prefetch_to_l2(left_.data() + at);
    left_ = left_.subspan(kBytes);
  }

 private:
  std::span<const std::byte> left_;
};

}  // namespace surprisal
