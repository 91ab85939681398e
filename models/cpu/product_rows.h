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

  /// Writes columns [begin, end) of rows [first, first + rows).
  /// @param begin   even
  /// @param values  [rows][end - begin], `stride` floats from row to row
  void put(int64_t first, int64_t rows, int64_t begin, int64_t end, const float* values,
           int64_t stride) const {
    if (rounding_ != nullptr) {
      return rounding_->round({.x = values,
                               .to = rows_.row(first) + begin / rounding_->inputs_per_float,
                               .n = end - begin,
                               .rows = rows,
                               .x_stride = stride,
                               .to_stride = rows_.stride()});
    }
    for (int64_t r = 0; r < rows; ++r)
      std::copy_n(values + r * stride, end - begin, rows_.row(first + r) + begin);
  }
  /// The same of one row.
  void put(int64_t row, int64_t begin, int64_t end, const float* values) const {
    put(row, 1, begin, end, values, 0);
  }
  PackedLinear::Input input() const { return {rows_.row(0), rows_.stride(), rounding_ != nullptr}; }

 private:
  RowBuffer rows_;
  const LinearKernels* rounding_;
};

}  // namespace surprisal
