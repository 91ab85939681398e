#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "models/cpu/linear_kernels.h"
#include "models/cpu/weight_arena.h"
#include "models/cpu/work_share.h"

namespace surprisal {

/// A linear layer y = x W^T + b for CPUs, in float32 arithmetic over weights kept in the dtype they
/// were stored in. A row's result has the same bits whatever the other rows, the number of workers,
/// and (with fused multiply-add) the CPU path.
class PackedLinear {
 public:
  /// Bytes to plan for in the arena.
  static int64_t packed_bytes(int64_t out, int64_t in, at::ScalarType dtype,
                              CpuPath path = cpu_path());

  /// Copies the weights into the arena, which must outlive this object.
  /// @param weight  [out, in] bfloat16, float16 or float32, on the CPU
  /// @param bias    [out] or undefined
  PackedLinear(const at::Tensor& weight, const at::Tensor& bias, WeightArena& arena,
               CpuPath path = cpu_path());

  int64_t in_features() const { return shape_.in; }
  int64_t out_features() const { return shape_.out; }
  int64_t weight_bytes() const { return shape_.bytes(); }

  /// Rows of activations: row r starts at data + r * stride. A stride that is a multiple of 1,024
  /// floats is slow for many rows (they fall into the same cache sets).
  struct Input {
    const float* data;
    int64_t stride;
  };
  struct Output {
    float* data;
    int64_t stride;
  };
  enum class Store : uint8_t { kReplace, kAdd };

  /// Writes (or adds to) this share of the outputs; the shares of all ranks make the whole.
  void forward(Input x, int64_t rows, Output y, WorkShare share = {},
               Store store = Store::kReplace) const;

  /// The outputs that forward() computes for a share: [begin, end).
  std::pair<int64_t, int64_t> outputs_of(WorkShare share) const;

  /// Row `output` of W, widened to float32: the embedding of a token when W is tied to it.
  void unpack_row(int64_t output, float* to) const;

 private:
  PackedShape shape_;
  const LinearKernels* kernels_;
  std::byte* weights_;
  float* bias_ = nullptr;  // padded to whole panels, in the arena
};

}  // namespace surprisal
