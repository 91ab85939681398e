#pragma once

#include <algorithm>

#include "models/cpu/float_buffer.h"
#include "models/cpu/packed_linear.h"

namespace surprisal {

/// Rows of activations that products read, rounded where those are in bfloat16: once for all
/// products and threads.
class ProductRows {
 public:
  /// @param rounding  the kernels of products in bfloat16, which must outlive this; null: float32
  ProductRows(int64_t columns, const LinearKernels* rounding)
      : rows_(rounding == nullptr ? columns : columns / rounding->inputs_per_float + 1),
        rounding_(rounding) {}
  void reserve(int64_t rows) { rows_.reserve(rows); }

  /// Writes columns [begin, end) of a row.
  /// @param begin  even
  void put(int64_t row, int64_t begin, int64_t end, const float* values) const {
    if (rounding_ == nullptr) {
      std::copy_n(values, end - begin, rows_.row(row) + begin);
    } else {
      rounding_->round(values, end - begin, rows_.row(row) + begin / rounding_->inputs_per_float);
    }
  }
  PackedLinear::Input input() const { return {rows_.row(0), rows_.stride(), rounding_ != nullptr}; }

 private:
  RowBuffer rows_;
  const LinearKernels* rounding_;
};

}  // namespace surprisal
