#pragma once

#include <hwy/base.h>

#include <cstddef>
#include <cstdint>

namespace surprisal {

inline constexpr int64_t kLineBytes = 64;

/// Asks for the cache line at `address` in the second-level cache. A core has many more fetches
/// into that cache on their way than into the first-level one, whose misses also wait for each
/// other: on a Zen 4, blocks of 4 KiB anywhere in memory arrive at 18 GB/s instead of 12.
/// Must be inlined before anything else is known about it: GCC 12 holds a function of nothing but
/// prefetches for one without effect, and leaves out calls to it.
HWY_INLINE void prefetch_to_l2(const void* address) {
  constexpr int kRead = 0, kSecondLevel = 2;
  __builtin_prefetch(address, kRead, kSecondLevel);
}

/// Asks for a cache line of which a part is about to be written.
HWY_INLINE void prefetch_to_write(void* address) {
#if HWY_ARCH_X86
  // Which compilers give out only for processors that all have it; others pass over it.
  asm volatile("prefetchw %0" : : "m"(*static_cast<std::byte*>(address)));
#else
  constexpr int kWrite = 1, kFirstLevel = 3;
  __builtin_prefetch(address, kWrite, kFirstLevel);
#endif
}

/// Whether PREFETCHNTA fetches at the speed of memory, into the first-level cache alone. AMD's
/// processors do; one of Intel's with AMX took 2.3 times as long for a step.
extern const bool fetches_past_l2;

/// For weights that a product of few rows reads once, strictly forwards, at the speed of memory:
/// then the first-level cache's own prefetcher has to see them come, and the second-level one
/// better keeps the activations and the code of all other stages (2 to 3 % of a step of one row).
template <bool kFewRows>
HWY_INLINE void prefetch_weights(const void* address) {
  if constexpr (kFewRows) {
    constexpr int kRead = 0, kOnce = 0, kFirstLevel = 3;
    if (fetches_past_l2) {
      __builtin_prefetch(address, kRead, kOnce);
    } else {
      __builtin_prefetch(address, kRead, kFirstLevel);
    }
  } else {
    prefetch_to_l2(address);
  }
}

/// Asks for the first lines of each page of a straight pass. The others come by themselves on
/// Intel's processors, whose prefetchers do not look beyond a page; and what they fetch does not
/// take the buffers that misses of the first-level cache wait for, as lines asked for do. For the
/// same reason it asks for one line at a time.
/// @tparam kEvery  bytes after which the pass calls fetch()
template <int64_t kEvery>
class PageBegins {
 public:
  /// @param from  the first page to ask for begins here or later
  explicit PageBegins(const std::byte* from)
      : line_(from + (kPage - reinterpret_cast<uintptr_t>(from) % kPage) % kPage) {}
  HWY_INLINE void fetch() {
    prefetch_to_l2(line_);
    line_ += kLineBytes;
    const bool enough = reinterpret_cast<uintptr_t>(line_) % kPage == kLines * kLineBytes;
    line_ += enough ? kPage - kLines * kLineBytes : 0;
  }

 private:
  static constexpr int64_t kPage = 4096, kLines = kPage / kEvery;
  const std::byte* line_;
};

/// Where a single pass over weights, which reads memory as it goes, asks for what it reads later.
/// Hardware's own prefetchers stop at 4 KiB pages.
HWY_INLINE const std::byte* well_ahead_of(const std::byte* weights) {
  return weights + 8192;
}

/// Where one of several passes over the same `bytes` of weights begins to ask for what comes next.
/// Several find their weights in the caches, and each asks for its part of the bytes that follow,
/// so that memory is read all the time.
HWY_INLINE const std::byte* ahead_of(const std::byte* weights, int64_t bytes, int64_t pass,
                                     int64_t passes) {
  if (passes == 1) return well_ahead_of(weights);
  return weights + bytes * (passes + pass) / passes;
}

}  // namespace surprisal
