#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "models/cpu/linear_kernels.h"

namespace surprisal {

/// Weights of one output in 8 bits: those of kSumBlock neighbouring inputs share a scale, a weight
/// is scale * number. Symmetric, as llama.cpp's Q8_0, but for scales in bfloat16, which cannot
/// overflow. They are rounded up, so that the largest weight is at most 127 of them.

/// The scale of one block. NaN where a weight is NaN or infinite, so that products show it.
inline float int8_scale(std::span<const float> weights) {
  float largest = 0;
  for (const float w : weights) {
    if (!std::isfinite(w)) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, std::abs(w));
  }
  // What is too small for a normal number becomes zero, also where subnormal numbers are flushed.
  if (largest / 127 < std::numeric_limits<float>::min()) return 0;
  return std::bit_cast<float>((std::bit_cast<uint32_t>(largest / 127) + 0xffffu) & 0xffff0000u);
}

inline int8_t int8_weight(float weight, float scale) {
  if (!(scale > 0)) return 0;
  return static_cast<int8_t>(std::clamp(std::nearbyint(weight / scale), -127.0f, 127.0f));
}

}  // namespace surprisal
