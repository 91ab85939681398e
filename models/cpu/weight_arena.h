#pragma once

#include <cstddef>
#include <cstdint>

namespace surprisal {

/// Memory for the packed weights of one model, in the order in which a step reads them. One mapping
/// in huge pages where the system grants them. Reserved at once, and backed by
/// memory only where it is written.
class WeightArena {
 public:
  /// @throws Error(kIo) when the system refuses the mapping
  explicit WeightArena(int64_t bytes);
  ~WeightArena();
  WeightArena(const WeightArena&) = delete;
  WeightArena& operator=(const WeightArena&) = delete;

  /// What take(bytes) uses up.
  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  /// The next `bytes` bytes, zero and aligned to a cache line; they live as long as the arena.
  /// @throws Error(kInternal) when the arena is exhausted
  std::byte* take(int64_t bytes);
  int64_t used() const { return used_; }
  /// Gives back what was taken since `used` bytes were in use.
  void give_back_to(int64_t used);

 private:
  static constexpr int64_t kAlignment = 64;
  std::byte* base_ = nullptr;
  int64_t size_ = 0, used_ = 0;
};

}  // namespace surprisal
