#include "models/cpu/weight_arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "lib/error.h"
#include "models/huge_pages.h"

namespace surprisal {

// Kernels prefetch past the end of a panel; a mapping that ends on a huge page avoids a partial
// one.
WeightArena::WeightArena(int64_t bytes) : size_((bytes / kHugePage + 1) * kHugePage) {
  void* const base = mmap(nullptr, static_cast<size_t>(size_), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    throw Error(ErrorCode::kIo, "cannot reserve " + std::to_string(size_) +
                                    " bytes for packed weights: " + std::strerror(errno));
  }
  base_ = static_cast<std::byte*>(base);
  prefer_huge_pages(base, size_);
}

WeightArena::~WeightArena() {
  munmap(base_, static_cast<size_t>(size_));
}

std::byte* WeightArena::take(int64_t bytes) {
  if (bytes > size_ - used_) {
    throw Error(ErrorCode::kInternal,
                "weight arena of " + std::to_string(size_) + " bytes is exhausted");
  }
  std::byte* const start = base_ + used_;
  used_ += rounded(bytes);
  return start;
}

void WeightArena::give_back_to(int64_t used) {
  std::memset(base_ + used, 0, static_cast<size_t>(used_ - used));
  used_ = used;
}

}  // namespace surprisal
