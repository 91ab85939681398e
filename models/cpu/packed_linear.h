#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "models/cpu/linear_kernels.h"
#include "models/cpu/weight_arena.h"
#include "models/cpu/work_share.h"

namespace surprisal {

/// A linear layer y = x W^T + b for CPUs, in float32 arithmetic over weights kept in the dtype they
/// were stored in, or rounded to int8 (int8_weights.h); or in bfloat16, with x rounded and sums in
/// float32. A row's result has the same bits whatever the other rows, the number of workers, and
/// (in float32, with fused multiply-add) the CPU path.
class PackedLinear {
 public:
  /// The plain form of weights of a dtype.
  /// @throws Error(kUnsupported) on a dtype other than bfloat16, float16, float32 and int8
  static WeightType plain_type(at::ScalarType dtype);

  /// Bytes to plan for in the arena.
  static int64_t packed_bytes(int64_t out, int64_t in, WeightType type);
  /// Bytes of the weights among these.
  static int64_t weight_bytes(int64_t out, int64_t in, WeightType type);

  /// Takes room in the arena, which must outlive this object; pack() fills it.
  /// @param type  compact only where compact::takes(in), and to be multiplied only where the path's
  ///              kernels take it (LinearKernels::compact)
  PackedLinear(int64_t out, int64_t in, WeightType type, bool bias, WeightArena& arena,
               CpuPath path = cpu_path());

  /// Two matrices of one shape that are always multiplied together, piece by piece: their panels
  /// alternate in memory, so that it is read strictly forwards. Take the room of two.
  static std::pair<PackedLinear, PackedLinear> alternating(int64_t out, int64_t in, WeightType type,
                                                           bool bias, WeightArena& arena,
                                                           CpuPath path = cpu_path());

  /// Copies this share's outputs into place; the shares of all ranks make the whole.
  /// @param weight  [out, in] of the dtype given at construction (of any, where that is int8),
  ///                contiguous, on the CPU
  /// @param bias    [out], or undefined
  /// @return false where the weights do not fit the compact form; all fit the plain ones
  bool pack(const at::Tensor& weight, const at::Tensor& bias, WorkShare share = {});

  int64_t in_features() const { return shape_.in; }
  int64_t out_features() const { return shape_.out; }

  /// Rows of activations: row r starts at data + r * stride. A stride that is a multiple of 1,024
  /// floats is slow for many rows (they fall into the same cache sets).
  struct Input {
    const float* data;
    int64_t stride;
    bool rounded = false;  ///< as LinearKernels::round writes; the weights must be bfloat16
  };
  struct Output {
    float* data;
    int64_t stride;
    bool* bad = nullptr;  ///< becomes true where NaN or +inf is written; null: not looked for
  };
  enum class Store : uint8_t { kReplace, kAdd };

  /// Writes (or adds to) this share of the outputs; the shares of all ranks make the whole.
  void forward(Input x, int64_t rows, Output y, WorkShare share = {},
               Store store = Store::kReplace) const;

  /// The outputs that forward() computes for a share: [begin, end).
  std::pair<int64_t, int64_t> outputs_of(WorkShare share) const;

  /// The outputs in pieces as small as it pays to deal out, of at most kPieceOutputs.
  static constexpr int64_t kPieceOutputs = kPanel;
  int64_t pieces() const { return shape_.panels(); }
  /// @param y          the piece's outputs alone: its first one at y.data
  void forward_piece(Input x, int64_t rows, Output y, int64_t piece,
                     Store store = Store::kReplace) const;
  std::pair<int64_t, int64_t> outputs_of_piece(int64_t piece) const;
  /// The weights of a piece and of those after it, with what alternates with them in between.
  std::span<const std::byte> weights_from(int64_t piece) const;

  /// Row `output` of W, widened to float32: the embedding of a token when W is tied to it.
  void unpack_row(int64_t output, float* to) const;

 private:
  PackedLinear(const PackedShape& shape, std::byte* weights, bool bias, WeightArena& arena,
               CpuPath path);
  struct Panels {
    int64_t first, last;  ///< [first, last)
  };
  void run(Input x, int64_t rows, Output y, Panels panels, Store store) const;
  std::pair<int64_t, int64_t> outputs_of_panels(Panels panels) const;

  PackedShape shape_;
  const LinearKernels* kernels_;
  std::byte* weights_;
  float* bias_ = nullptr;  // padded to whole panels, in the arena
};

}  // namespace surprisal
