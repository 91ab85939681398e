// The products behind PackedLinear, compiled once for each CPU path by Highway's foreach_target.
//
// Outputs lie across SIMD lanes and the inputs of one output are always added in the same order:
// kSumBlock of them by fused multiply-adds into a fresh accumulator, the blocks one after another,
// then bias and y. Neither the number of rows nor of threads enters, so a row's result has the same
// bits in any batch.
//
// A tile is R rows x V vectors of outputs, held in registers. With R = 1 the loop streams weights
// at the speed of memory; with the largest R it does two multiply-adds a cycle. On a 2-core Zen 4
// (AVX-512, roofs 29 GB/s and 117 GFLOP/s a core) SmolLM2's bfloat16 matrices run at 29 GB/s with
// one row and 101 GFLOP/s with 16.
#include "models/cpu/linear_kernels.h"

#include "models/cpu/amx_kernels.h"
#include "models/cpu/bfloat16_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/cpu/linear_kernels.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <utility>

#include "models/cpu/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<hwy::float16_t, Floats>;
using Vector = hn::Vec<Floats>;

constexpr int kLanes = HWY_LANES(float);
constexpr int kPanelVectors = kPanel / kLanes;
// Rows of the largest tile: 2 R accumulators, 2 weights and a broadcast fit 32 or 16 registers.
constexpr int kMaxRows = kLanes >= 16 ? 12 : 6;
// Rows up to which a tile takes more than two vectors, since these would be too few accumulators to
// hide the latency of the additions.
constexpr int kWideRows = 2;
constexpr int vectors_of_tile(int64_t rows) {
  return rows <= kWideRows ? std::min(kPanelVectors, 4) : 2;
}
// Blocks of inputs that several passes go over in turn: what each reads of their weights, all of
// them or two vectors' part, stays in the first-level cache.
constexpr int64_t kTileBlocks = 8 * kPanelVectors / 2;
// Rows whose x stays in the second-level cache while panels pass.
constexpr int64_t kRowBlock = 192;
// Rows of a tile up to which memory limits it, not arithmetic.
constexpr int kFewRows = 2;

// Stored weights of one vector of outputs, for the even and the odd input of a pair, which lie in
// one row or in two.
struct Bfloat16 {
  static constexpr int64_t kPairRows = 1, kPairBytes = 4 * kPanel;
  static HWY_INLINE auto words(const std::byte* pair, int v) {
    return hn::Load(Words(), reinterpret_cast<const uint32_t*>(pair) + v * kLanes);
  }
  static HWY_INLINE Vector even(const std::byte* pair, int v) {
    return hn::BitCast(Floats(), hn::ShiftLeft<16>(words(pair, v)));
  }
  static HWY_INLINE Vector odd(const std::byte* pair, int v) {
    return hn::BitCast(Floats(), hn::And(words(pair, v), hn::Set(Words(), 0xffff0000u)));
  }
};
struct Float16 {
  static constexpr int64_t kPairRows = 2, kPairBytes = 4 * kPanel;
  static HWY_INLINE Vector load(const std::byte* from, int v) {
    return hn::PromoteTo(
        Floats(), hn::Load(Halves(), reinterpret_cast<const hwy::float16_t*>(from) + v * kLanes));
  }
  static HWY_INLINE Vector even(const std::byte* pair, int v) { return load(pair, v); }
  static HWY_INLINE Vector odd(const std::byte* pair, int v) { return load(pair + 2 * kPanel, v); }
};
struct Float32 {
  static constexpr int64_t kPairRows = 2, kPairBytes = 8 * kPanel;
  static HWY_INLINE Vector load(const std::byte* from, int v) {
    return hn::Load(Floats(), reinterpret_cast<const float*>(from) + v * kLanes);
  }
  static HWY_INLINE Vector even(const std::byte* pair, int v) { return load(pair, v); }
  static HWY_INLINE Vector odd(const std::byte* pair, int v) { return load(pair + 4 * kPanel, v); }
};

struct Int8 {
  using Bytes = hn::Rebind<int8_t, Floats>;
  static constexpr int64_t kPairRows = 2, kPairBytes = 2 * kPanel;
  static HWY_INLINE Vector load(const std::byte* from, int v) {
    const auto bytes = hn::Load(Bytes(), reinterpret_cast<const int8_t*>(from) + v * kLanes);
    return hn::ConvertTo(Floats(), hn::PromoteTo(hn::RebindToSigned<Floats>(), bytes));
  }
  static HWY_INLINE Vector even(const std::byte* pair, int v) { return load(pair, v); }
  static HWY_INLINE Vector odd(const std::byte* pair, int v) { return load(pair + kPanel, v); }
  static HWY_INLINE Vector scale(const std::byte* block, int v) {
    const auto* const scales = reinterpret_cast<const uint16_t*>(block + kSumBlock * kPanel);
    const auto halves = hn::Load(hn::Rebind<uint16_t, Floats>(), scales + v * kLanes);
    return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(Words(), halves)));
  }
};
template <class Weight>
constexpr bool kScaled = std::is_same_v<Weight, Int8>;
// From the weights of a block of inputs to those of the next.
template <class Weight>
constexpr int64_t kBlockBytes = kSumBlock / 2 * Weight::kPairBytes +
                                (kScaled<Weight> ? kPanel * int64_t{sizeof(uint16_t)} : 0);

// acc[r][v] += x[r] * w[v]
template <int R, int V>
HWY_INLINE void multiply_add(Vector (&acc)[R][V], const Vector (&w)[V], const float* x,
                             int64_t stride) {
  for (int r = 0; r < R; ++r) {
    const Vector broadcast = hn::Set(Floats(), x[r * stride]);
    for (int v = 0; v < V; ++v) acc[r][v] = hn::MulAdd(w[v], broadcast, acc[r][v]);
  }
}

template <class Weight>
constexpr int64_t kVectorBytes = Weight::kPairBytes / Weight::kPairRows / kPanelVectors;

// What is asked for while a tile is computed.
struct Ahead {
  const std::byte* from;
  int64_t step;  // bytes with each block of inputs
};

// Sums `count` inputs for R rows and V vectors of a panel from `vector` on, block by block, and
// adds them to `sums`, a row of which is as wide (or, for the first inputs, sets it).
template <class Weight, int R, int V>
void tile(const std::byte* weights, int vector, Ahead ahead, const float* x, int64_t x_stride,
          int64_t count, float* sums, bool first) {
  constexpr int64_t kPairs = kSumBlock / 2;
  const int64_t offset = vector * kVectorBytes<Weight>;
  weights += offset;
  Vector total[R][V];  // stays in registers where R is small
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      total[r][v] = first ? hn::Zero(Floats()) : hn::Load(Floats(), sums + (r * V + v) * kLanes);
    }
  }
  Vector w[V];
  const auto load = [&](auto part, const std::byte* from) HWY_ATTR {
    for (int v = 0; v < V; ++v) w[v] = part(from, v);
  };
  for (int64_t begin = 0; begin < count; begin += kSumBlock) {
    const std::byte* const block = weights;
    const int64_t end = std::min(begin + kSumBlock, count);
    const std::byte* fetch = ahead.from;
    ahead.from += ahead.step;
    Vector acc[R][V];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) acc[r][v] = hn::Zero(Floats());
    }
    for (int64_t k = begin; k + 2 <= end; k += 2) {
      for (int64_t line = 0; line < kBlockBytes<Weight> / kPairs; line += kLineBytes) {
        prefetch_weights<R <= kFewRows>(fetch + line);
      }
      fetch += ahead.step / kPairs;
      load(Weight::even, weights);
      multiply_add(acc, w, x + k, x_stride);
      load(Weight::odd, weights);
      multiply_add(acc, w, x + k + 1, x_stride);
      weights += Weight::kPairBytes;
    }
    if (end % 2 == 1) {
      load(Weight::even, weights);
      multiply_add(acc, w, x + end - 1, x_stride);
    }
    if constexpr (kScaled<Weight>) {
      load(Weight::scale, block + offset);  // twice the bytes of a weight
      for (int r = 0; r < R; ++r) {
        for (int v = 0; v < V; ++v) total[r][v] = hn::MulAdd(acc[r][v], w[v], total[r][v]);
      }
    } else {
      for (int r = 0; r < R; ++r) {
        for (int v = 0; v < V; ++v) {
          total[r][v] = first && begin == 0 ? acc[r][v] : hn::Add(acc[r][v], total[r][v]);
        }
      }
    }
    weights = block + kBlockBytes<Weight>;
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      hn::Store(total[r][v], Floats(), sums + (r * V + v) * kLanes);
    }
  }
}

// y = sums (+ bias) (+ y) for outputs from `output` on: y's own value is rounded into the result
// once, however long the sum.
// @param sums  [rows][width]
void store(const PackedShape& shape, const LinearCall& call, const float* sums, int64_t first_row,
           int64_t rows, int64_t output, int64_t width) {
  const int64_t columns = std::min(width, shape.out - output);
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = sums + r * width;
    float* const to = call.y + (first_row + r) * call.y_stride + output - call.first_panel * kPanel;
    bool bad = false;
    for (int64_t i = 0; i < columns; ++i) {
      const float sum = call.bias == nullptr ? from[i] : from[i] + call.bias[output + i];
      to[i] = call.accumulate ? to[i] + sum : sum;
      bad |= !(to[i] <= std::numeric_limits<float>::max());
    }
    if (bad && call.bad != nullptr) *call.bad = true;
  }
}

// Rows [first_row, first_row + rows), at most kRowBlock, of one panel.
template <class Weight>
void run_panel(const PackedShape& shape, const LinearCall& call, int64_t first_row, int64_t rows,
               int64_t panel) {
  using Tile = void (*)(const std::byte*, int, Ahead, const float*, int64_t, int64_t, float*, bool);
  static constexpr auto kTiles = []<size_t... R>(std::index_sequence<R...>) {
    return std::array<Tile, kMaxRows>{tile<Weight, R + 1, vectors_of_tile(R + 1)>...};
  }
  (std::make_index_sequence<kMaxRows>());
  alignas(64) float sums[kRowBlock * kPanel];
  const std::byte* weights =
      static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
  const int64_t tiles = (rows + kMaxRows - 1) / kMaxRows;  // of sizes that differ by at most one
  const int vectors = vectors_of_tile(rows / tiles);       // of all: several have more rows
  const int64_t passes = tiles * kPanelVectors / vectors;
  const int64_t blocks = (shape.in + kSumBlock - 1) / kSumBlock;
  const int64_t steps = passes == 1 ? 1 : (blocks + kTileBlocks - 1) / kTileBlocks;
  const int64_t step_blocks = (blocks + steps - 1) / steps;
  const int64_t step = step_blocks * kSumBlock, step_bytes = step_blocks * kBlockBytes<Weight>;
  for (int64_t k = 0; k < shape.in; k += step) {
    const int64_t count = std::min(step, shape.in - k);
    for (int64_t pass = 0; pass < passes; ++pass) {
      const int64_t t = pass % tiles, begin = rows * t / tiles, end = rows * (t + 1) / tiles;
      const int vector = static_cast<int>(pass / tiles) * vectors;
      const Ahead ahead = {ahead_of(weights, step_bytes, pass, passes),
                           kBlockBytes<Weight> / passes};
      kTiles[static_cast<size_t>(end - begin - 1)](
          weights, vector, ahead, call.x + (first_row + begin) * call.x_stride + k, call.x_stride,
          count, sums + rows * vector * kLanes + begin * vectors * kLanes, k == 0);
    }
    weights += step_bytes;
  }
  for (int64_t vector = 0; vector < kPanelVectors; vector += vectors) {
    store(shape, call, sums + rows * vector * kLanes, first_row, rows,
          panel * kPanel + vector * kLanes, vectors * kLanes);
  }
}

template <class Weight>
void run_panels(const PackedShape& shape, const LinearCall& call) {
  for (int64_t row = 0; row < call.rows; row += kRowBlock) {
    const int64_t rows = std::min(kRowBlock, call.rows - row);
    for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
      run_panel<Weight>(shape, call, row, rows, panel);
    }
  }
}

void run(const PackedShape& shape, const LinearCall& call) {
  switch (shape.type) {
    case WeightType::kBfloat16:
      return run_panels<Bfloat16>(shape, call);
    case WeightType::kFloat16:
      return run_panels<Float16>(shape, call);
    case WeightType::kFloat32:
      return run_panels<Float32>(shape, call);
    case WeightType::kInt8:
      return run_panels<Int8>(shape, call);
  }
}

// NaN stays NaN; the carry into the exponent makes what is too large infinite.
template <class D>
HWY_INLINE void round_lanes(D d, const float* x, float* to) {
  const hn::RebindToUnsigned<D> words;
  const auto v = hn::LoadU(d, x);
  const auto bits = hn::BitCast(words, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
  const auto up = hn::Add(bits, hn::Add(odd, hn::Set(words, 0x7fff)));
  const auto rounded = hn::BitCast(d, hn::And(up, hn::Set(words, 0xffff0000u)));
  hn::StoreU(hn::IfThenElse(hn::IsNaN(v), v, rounded), d, to);
}

void round(const float* x, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) round_lanes(Floats(), x + i, to + i);
  for (; i < n; ++i) round_lanes(hn::CappedTag<float, 1>(), x + i, to + i);
}

constexpr LinearKernels kKernels = {run, round, 1, run};

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

const LinearKernels& linear_kernels(CpuPath path) {
#if HWY_TARGETS & HWY_AVX3
  static constexpr LinearKernels kWithDotProducts = {N_AVX3::run, bfloat16::round, 2,
                                                     bfloat16::run};
  static constexpr LinearKernels kWithTiles = {N_AVX3::run, bfloat16::round, 2, amx::run};
  if (path == CpuPath::kAmx) return kWithTiles;
  if (path == CpuPath::kAvx512Bf16) return kWithDotProducts;
  if (path == CpuPath::kAvx512) return N_AVX3::kKernels;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (path == CpuPath::kAvx2) return N_AVX2::kKernels;
#endif
  return HWY_STATIC_DISPATCH(kKernels);
}

}  // namespace surprisal
#endif
