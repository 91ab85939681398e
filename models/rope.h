#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "models/config.h"

namespace surprisal {

/// Rotary position embedding in the rotate-half form of Hugging Face checkpoints. Frequencies and
/// angles are float32, computed in the order of operations of transformers' modeling_rope_utils.py
/// and modeling_llama.py, because parity of long sequences hangs on the rounding of both.
class RotaryEmbedding {
 public:
  RotaryEmbedding(const ModelConfig& config, at::Device device);

  /// One row's positions [first, first + count).
  struct Range {
    int64_t first = 0, count = 0;
  };
  struct Rotation {
    at::Tensor cos, sin;  ///< [N, 1, D] of the activations' dtype, N = sum of the counts
  };
  /// Angles of the rows' positions, one row after the other. `dynamic` RoPE takes each row's own
  /// length (first + count) as the sequence length that stretches its frequencies.
  Rotation at_positions(std::span<const Range> rows, at::ScalarType dtype) const;

  /// inv_freq [D/2] float32 on the CPU for a sequence of `length` tokens (which only `dynamic`
  /// looks at).
  static at::Tensor inverse_frequencies(const ModelConfig& config, int64_t length);

  /// What cos and sin are multiplied by: 1, or yarn's attention factor.
  static double attention_scaling(const RopeConfig& rope);

 private:
  ModelConfig config_;
  at::Device device_;
  at::Tensor inv_freq_;  ///< [D/2] float32 within the trained length
  double scaling_;
};

/// x * cos + rotate_half(x) * sin.  @param x  [N, heads, D]
at::Tensor rotate(const at::Tensor& x, const RotaryEmbedding::Rotation& rotation);

}  // namespace surprisal
