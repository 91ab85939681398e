#pragma once

#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <cstdint>

namespace surprisal {

/// Scratch that grows and is never given back: floats aligned for vectors, zero where never
/// written.
class FloatBuffer {
 public:
  /// Room for `count` floats; what was there is lost when it grows.
  float* reserve(int64_t count) {
    if (count > size_) {
      data_ = hwy::AllocateAligned<float>(static_cast<size_t>(count));
      std::fill_n(data_.get(), count, 0.0f);
      size_ = count;
    }
    return data_.get();
  }
  float* data() const { return data_.get(); }

 private:
  hwy::AlignedFreeUniquePtr<float[]> data_;
  int64_t size_ = 0;
};

/// Rows of activations. Their stride is padded with zeros to whole vectors, and off multiples of a
/// page, where the rows of a tile would compete for the same cache sets.
class RowBuffer {
 public:
  explicit RowBuffer(int64_t columns)
      : stride_((columns + 15) / 16 * 16 + ((columns + 15) / 16 % 16 == 0 ? 16 : 0)) {}
  void reserve(int64_t rows) { buffer_.reserve(rows * stride_); }
  int64_t stride() const { return stride_; }
  float* row(int64_t index) const { return buffer_.data() + index * stride_; }

 private:
  int64_t stride_;
  FloatBuffer buffer_;
};

}  // namespace surprisal
