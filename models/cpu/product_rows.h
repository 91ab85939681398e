#pragma once

#include <optional>

#include "models/cpu/float_buffer.h"
#include "models/cpu/packed_linear.h"

namespace surprisal {

/// Rows of activations that products read: as computed and, where products are in bfloat16, rounded
/// beside it, once for all products and threads.
class ProductRows {
 public:
  /// @param rounding  the kernels of products in bfloat16, which must outlive this; null: float32
  ProductRows(int64_t columns, const LinearKernels* rounding)
      : values_(columns), rounding_(rounding) {
    if (rounding != nullptr) rounded_.emplace(columns / rounding->inputs_per_float + 1);
  }
  void reserve(int64_t rows) {
    values_.reserve(rows);
    if (rounded_) rounded_->reserve(rows);
  }

  float* row(int64_t index) const { return values_.row(index); }
  int64_t stride() const { return values_.stride(); }
  PackedLinear::Output output() const { return {values_.row(0), values_.stride()}; }

  /// To be called on every part of a row when it has its final values, before products read it.
  /// @param begin  even
  void finish(int64_t row, int64_t begin, int64_t end) const {
    if (!rounded_) return;
    rounding_->round(values_.row(row) + begin, end - begin,
                     rounded_->row(row) + begin / rounding_->inputs_per_float);
  }
  PackedLinear::Input input() const {
    const RowBuffer& rows = rounded_ ? *rounded_ : values_;
    return {rows.row(0), rows.stride(), rounded_.has_value()};
  }

 private:
  RowBuffer values_;
  std::optional<RowBuffer> rounded_;
  const LinearKernels* rounding_;
};

}  // namespace surprisal
