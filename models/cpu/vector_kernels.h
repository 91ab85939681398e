#pragma once

#include <cstdint>

#include "models/cpu/cpu_path.h"

namespace surprisal {

/// The light operations between the products. Rows of activations are padded with zeros to whole
/// multiples of this many floats; n counts the padding where a function says so.
inline constexpr int64_t kRowPadding = 16;
constexpr int64_t padded(int64_t n) {
  return (n + kRowPadding - 1) / kRowPadding * kRowPadding;
}

struct VectorKernels {
  /// y = x / sqrt(mean(x^2) + epsilon) * weight; x, weight and y padded.
  void (*rms_norm)(const float* x, const float* weight, int64_t n, float epsilon, float* y);
  /// gate = silu(gate) * up, n a multiple of kRowPadding.
  void (*silu_multiply)(float* gate, const float* up, int64_t n);
  /// x * cos + rotate_half(x) * sin in place.  @param cos, sin  [n]
  void (*rotate)(float* x, const float* cos, const float* sin, int64_t n);
  /// y = x in bfloat16, to nearest with ties to even; NaN becomes a quiet one.  @param y  [n]
  void (*round)(const float* x, int64_t n, uint16_t* y);
};
const VectorKernels& vector_kernels(CpuPath path);

}  // namespace surprisal
