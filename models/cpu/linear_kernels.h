#pragma once

#include <cstdint>

#include "models/cpu/compact_weights.h"
#include "models/cpu/cpu_path.h"

namespace surprisal {

/// How packed weights are stored; the arithmetic is float32 for all of them.
enum class WeightType : uint8_t { kBfloat16, kCompactBfloat16, kFloat16, kFloat32, kInt8 };

/// Inputs that a product sums in one go before the sum joins those of the blocks before it. Part of
/// what defines a result's bits; short blocks round less.
inline constexpr int64_t kSumBlock = 32;

/// Outputs whose weights lie together, and are multiplied together by whoever multiplies.
inline constexpr int64_t kPanel = 32;

/// Bytes of kSumBlock inputs of a panel in int8, with their scales in bfloat16.
inline constexpr int64_t kInt8BlockBytes = (kSumBlock + 2) * kPanel;

/// Bytes of one stored weight, without its share of a scale. Not of a compact one.
constexpr int64_t weight_bytes(WeightType type) {
  if (type == WeightType::kInt8) return 1;
  return type == WeightType::kFloat32 ? 4 : 2;
}

/// Packed layout, of every CPU path. Outputs are dealt into panels, padded with zero weights;
/// within a panel the weights of input 0 and 1 come first, then those of 2 and 3, and so on, so
/// that a product reads memory strictly forwards. A pair of inputs is stored as
///   float16, float32:  [2][kPanel]   (input, output)
///   bfloat16:          [kPanel][2]   (output, input): one 32-bit word then widens to the even
///   input
///                                    with a shift and to the odd one with a mask
///   int8:              [2][kPanel]   and after kSumBlock inputs their scales: [kPanel] bfloat16
/// An odd last input is paired with zeros; in int8 a last block of inputs is filled up with them.
/// Compact bfloat16 (compact_weights.h) is another way to write a panel of bfloat16.
struct PackedShape {
  int64_t in = 0, out = 0;
  WeightType type = WeightType::kFloat32;
  int64_t matrices = 1;  ///< whose panels alternate in memory; this is one of them

  int64_t panels() const { return (out + kPanel - 1) / kPanel; }
  int64_t panel_bytes() const {
    if (type == WeightType::kCompactBfloat16) return compact::panel_bytes(in);
    if (type == WeightType::kInt8) return (in + kSumBlock - 1) / kSumBlock * kInt8BlockBytes;
    return (in + 1) / 2 * 2 * kPanel * weight_bytes(type);
  }
  /// From a panel to the next of the same matrix.
  int64_t panel_step() const { return matrices * panel_bytes(); }
  int64_t bytes() const { return panels() * panel_bytes(); }
  /// Where the block of kSumBlock inputs with weight (output, input) begins, in int8.
  int64_t int8_block(int64_t output, int64_t input) const {
    return output / kPanel * panel_step() + input / kSumBlock * kInt8BlockBytes;
  }
  /// Where weight (output, input) lies, counted in weights from the start; in int8, from its block.
  /// Not of compact ones.
  int64_t index(int64_t output, int64_t input) const {
    const int64_t lane = output % kPanel, odd = input % 2;
    if (type == WeightType::kInt8) return input % kSumBlock * kPanel + lane;
    const int64_t pair = output / kPanel * matrices * ((in + 1) / 2) + input / 2;
    return pair * 2 * kPanel +
           (type == WeightType::kBfloat16 ? lane * 2 + odd : odd * kPanel + lane);
  }
};

/// One product y = x W^T (+ bias) restricted to some panels.
struct LinearCall {
  const void* weights;  ///< packed, 64-byte aligned
  const float* bias;    ///< [panels * kPanel] or null
  const float* x;       ///< [rows, in], `x_stride` floats from row to row
  float* y;             ///< [rows, outputs of these panels], `y_stride` floats from row to row
  int64_t x_stride, y_stride, rows;  ///< rows >= 1
  int64_t first_panel, last_panel;   ///< [first, last)
  bool accumulate;                   ///< y += instead of y =
  bool* bad;  ///< becomes true where y holds NaN or +inf; null: not looked for
};

/// Rows of numbers on their way into products in bfloat16.
struct RoundCall {
  const float* x;  ///< [rows][n], `x_stride` floats from row to row
  float* to;       ///< [rows][n / LinearKernels::inputs_per_float], `to_stride` floats likewise
  int64_t n, rows = 1;
  int64_t x_stride = 0, to_stride = 0;
};

/// The compilation of the kernels for one CPU path.
struct LinearKernels {
  bool compact;  ///< whether these take compact weights
  void (*run)(const PackedShape& shape, const LinearCall& call);

  /// For products in bfloat16: writes numbers, rounded to bfloat16 (to nearest, ties to even), as
  /// run_rounded() wants them, `inputs_per_float` to each float. A row may be written in parts that
  /// begin at an even input.
  void (*round)(const RoundCall& call);
  int64_t inputs_per_float;
  /// run() for rows of x that round() has written, over weights in bfloat16. Sums are float32.
  void (*run_rounded)(const PackedShape& shape, const LinearCall& call);
};
const LinearKernels& linear_kernels(CpuPath path);

}  // namespace surprisal
