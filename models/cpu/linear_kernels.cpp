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

#include "models/cpu/compact_vectors.h"
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
// Whether this path takes compact weights. To decode them costs AVX2 more than memory gives back,
// from four rows on.
#undef SURPRISAL_COMPACT
#define SURPRISAL_COMPACT (HWY_TARGET == HWY_AVX3)
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

// The even and the odd of two bfloat16 in each word.
HWY_INLINE Vector even_of(hn::Vec<Words> pairs) {
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(pairs));
}
HWY_INLINE Vector odd_of(hn::Vec<Words> pairs) {
  return hn::BitCast(Floats(), hn::And(pairs, hn::Set(Words(), 0xffff0000u)));
}

// Stored weights of one vector of outputs, for the even and the odd input of a pair, which lie in
// one row or in two.
struct Bfloat16 {
  static constexpr int64_t kPairRows = 1, kPairBytes = 4 * kPanel;
  static HWY_INLINE auto words(const std::byte* pair, int v) {
    return hn::Load(Words(), reinterpret_cast<const uint32_t*>(pair) + v * kLanes);
  }
  static HWY_INLINE Vector even(const std::byte* pair, int v) { return even_of(words(pair, v)); }
  static HWY_INLINE Vector odd(const std::byte* pair, int v) { return odd_of(words(pair, v)); }
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

// acc[r][v] += x[r][input] * w[v]
template <int R, int V>
HWY_INLINE void multiply_add(Vector (&acc)[R][V], const Vector (&w)[V], const float* x,
                             int64_t stride, int64_t input) {
  for (int r = 0; r < R; ++r) {
    const float* row = x + r * stride;
    // Or GCC keeps an address for each number instead of each row, most of them not in registers
    // (slower in AVX2, where addresses are part of the instructions).
    if constexpr (kLanes >= 16) asm("" : "+r"(row));
    const Vector broadcast = hn::Set(Floats(), row[input]);
    for (int v = 0; v < V; ++v) acc[r][v] = hn::MulAdd(w[v], broadcast, acc[r][v]);
  }
}

template <class Weight>
constexpr int64_t kVectorBytes = Weight::kPairBytes / Weight::kPairRows / kPanelVectors;

// What a tile reads its weights from, those of kPairs pairs of inputs at a time: some of a panel's
// vectors as they are stored.
template <class Weight>
struct Stored {
  static constexpr int64_t kPairs = 1, kBytes = kBlockBytes<Weight>;
  const std::byte* block;  // of kSumBlock inputs
  int64_t offset;          // of the first vector
  const std::byte* pair;

  Stored(const std::byte* first_block, int64_t first_vector)
      : block(first_block), offset(first_vector), pair(block + offset) {}

  struct Pair {
    const std::byte* at;
    HWY_INLINE Vector even(int v) const { return Weight::even(at, v); }
    HWY_INLINE Vector odd(int v) const { return Weight::odd(at, v); }
  };
  HWY_INLINE std::array<Pair, kPairs> next() {
    const Pair next = {pair};
    pair += Weight::kPairBytes;
    return {next};
  }
  HWY_INLINE void next_block() {
    block += kBlockBytes<Weight>;
    pair = block + offset;
  }
  HWY_INLINE Vector scale(int v) const requires kScaled<Weight> {
    return Weight::scale(block + 2 * offset, v);  // twice the bytes of a weight
  }
};

#if SURPRISAL_COMPACT
// A panel in compact form.
template <class Reader>
struct CompactSource {
  static constexpr int64_t kPairs = 2;
  static constexpr int64_t kBytes = kSumBlock / compact::kUnitInputs * compact::kUnitBytes;
  Reader units;

  struct Pair {
    hn::Vec<Words> words[kPanelVectors];
    HWY_INLINE Vector even(int v) const { return even_of(words[v]); }
    HWY_INLINE Vector odd(int v) const { return odd_of(words[v]); }
  };
  HWY_INLINE std::array<Pair, kPairs> next() {
    const auto unit = units.next();
    std::array<Pair, kPairs> pairs;
    for (size_t i = 0; i < kPairs; ++i) {
      for (size_t v = 0; v < kPanelVectors; ++v) pairs[i].words[v] = {unit.pair[i][v]};
    }
    return pairs;
  }
  HWY_INLINE void next_block() {}
};
using Compact = CompactSource<compact::UnitReader>;
using Decoded = CompactSource<compact::UnitDecoder>;  // for other tiles to read
#endif

// What is asked for while a tile is computed.
struct Ahead {
  const std::byte* from;
  int64_t step;  // bytes with each block of inputs
};

// Sums `count` inputs for R rows and V vectors of a panel, block by block, and adds them to `sums`,
// a row of which is as wide (or, for the first inputs, sets it).
template <int R, int V, class Source>
HWY_INLINE void sum_tile(Source& source, Ahead ahead, const float* x, int64_t x_stride,
                         int64_t count, float* sums, bool first) {
  constexpr int64_t kReads = kSumBlock / 2 / Source::kPairs;
  Vector total[R][V];  // stays in registers where R is small
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      total[r][v] = first ? hn::Zero(Floats()) : hn::Load(Floats(), sums + (r * V + v) * kLanes);
    }
  }
  Vector w[V];
  for (int64_t begin = 0; begin < count; begin += kSumBlock) {
    const int64_t end = std::min(begin + kSumBlock, count);
    const std::byte* fetch = ahead.from;
    ahead.from += ahead.step;
    Vector acc[R][V];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) acc[r][v] = hn::Zero(Floats());
    }
    for (int64_t k = begin; k + 2 * Source::kPairs <= end; k += 2 * Source::kPairs) {
      for (int64_t line = 0; line < Source::kBytes / kReads; line += kLineBytes) {
        prefetch_weights<R <= kFewRows>(fetch + line);
      }
      fetch += ahead.step / kReads;
      const auto pairs = source.next();
      for (size_t i = 0; i < Source::kPairs; ++i) {
        for (int v = 0; v < V; ++v) w[v] = pairs[i].even(v);
        multiply_add(acc, w, x + k, x_stride, 2 * static_cast<int64_t>(i));
        for (int v = 0; v < V; ++v) w[v] = pairs[i].odd(v);
        multiply_add(acc, w, x + k, x_stride, 2 * static_cast<int64_t>(i) + 1);
      }
    }
    if (end % 2 == 1) {
      const auto pairs = source.next();
      for (int v = 0; v < V; ++v) w[v] = pairs[0].even(v);
      multiply_add(acc, w, x + end - 1, x_stride, 0);
    }
    if constexpr (requires { source.scale(0); }) {
      for (int v = 0; v < V; ++v) w[v] = source.scale(v);
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
    source.next_block();
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

// One pass of a panel's part of the inputs. The first one reads a compact panel, and leaves it
// behind what it has read.
struct Pass {
  int64_t rows, number, of;  // the first of several reads a compact panel, for the others
  int vector;                // the first of a tile's vectors
  Ahead ahead;
  const float* x;
  int64_t x_stride, inputs;
  float* sums;
  bool first;  // inputs
};
// Functions for 1 to kMaxRows rows. (Arguments one by one: most of them stay in registers.)
template <class Weight, int R>
void stored_tile(const std::byte* weights, int vector, Ahead ahead, const float* x,
                 int64_t x_stride, int64_t inputs, float* sums, bool first) {
  Stored<Weight> source(weights, vector * kVectorBytes<Weight>);
  sum_tile<R, vectors_of_tile(R)>(source, ahead, x, x_stride, inputs, sums, first);
}
template <class Weight>
constexpr auto kStoredTiles = []<size_t... R>(std::index_sequence<R...>) {
  return std::array{stored_tile<Weight, R + 1>...};
}
(std::make_index_sequence<kMaxRows>());

template <class Weight>
class StoredPanel {
 public:
  StoredPanel(const std::byte* panel, int64_t /*in*/) : at_(panel) {}
  static int64_t header_bytes(int64_t /*in*/) { return 0; }
  static constexpr int64_t kBytes = kBlockBytes<Weight>;
  HWY_INLINE void run(const Pass& pass) const {
    kStoredTiles<Weight>[static_cast<size_t>(pass.rows - 1)](
        at_, pass.vector, pass.ahead, pass.x, pass.x_stride, pass.inputs, pass.sums, pass.first);
  }
  void advance(int64_t blocks) { at_ += blocks * kBytes; }

 private:
  const std::byte* at_;
};

#if SURPRISAL_COMPACT
template <class Source, int R>
void compact_tile(Source& source, const Pass& pass) {
  Source from = source;
  sum_tile<R, kPanelVectors>(from, pass.ahead, pass.x, pass.x_stride, pass.inputs, pass.sums,
                             pass.first);
  source = from;
}
template <class Source>
constexpr auto kCompactTiles = []<size_t... R>(std::index_sequence<R...>) {
  return std::array{compact_tile<Source, R + 1>...};
}
(std::make_index_sequence<kMaxRows>());

class CompactPanel {
 public:
  CompactPanel(const std::byte* panel, int64_t in) : units_(panel, in) {}
  static int64_t header_bytes(int64_t in) { return compact::header_bytes(in); }
  static constexpr int64_t kBytes = Compact::kBytes;
  void run(const Pass& pass) {
    if (pass.number > 0) return StoredPanel<Bfloat16>(decoded_, 0).run(pass);
    const auto tile = static_cast<size_t>(pass.rows - 1);
    if (pass.of == 1) {
      Compact source{units_};
      kCompactTiles<Compact>[tile](source, pass);
      units_ = source.units;
    } else {
      Decoded source{{units_, decoded_}};
      kCompactTiles<Decoded>[tile](source, pass);
      units_ = source.units;
    }
  }
  void advance(int64_t /*blocks*/) {}  // run() has

 private:
  compact::UnitReader units_;
  alignas(64) std::byte decoded_[kTileBlocks * kBlockBytes<Bfloat16>];
};
#endif

// Rows [first_row, first_row + rows), at most kRowBlock, of one panel.
template <class Panel>
void run_panel(const PackedShape& shape, const LinearCall& call, int64_t first_row, int64_t rows,
               int64_t number) {
  alignas(64) float sums[kRowBlock * kPanel];
  const std::byte* weights =
      static_cast<const std::byte*>(call.weights) + number * shape.panel_step();
  Panel panel(weights, shape.in);
  const int64_t tiles = (rows + kMaxRows - 1) / kMaxRows;  // of sizes that differ by at most one
  const int vectors = vectors_of_tile(rows / tiles);       // of all: several have more rows
  const int64_t passes = tiles * kPanelVectors / vectors;
  const int64_t blocks = (shape.in + kSumBlock - 1) / kSumBlock;
  const int64_t steps = passes == 1 ? 1 : (blocks + kTileBlocks - 1) / kTileBlocks;
  const int64_t step_blocks = (blocks + steps - 1) / steps, step = step_blocks * kSumBlock;
  int64_t header = Panel::header_bytes(shape.in);
  for (int64_t k = 0; k < shape.in; k += step) {
    const int64_t bytes = header + step_blocks * Panel::kBytes;
    // A single pass asks for as much of the units as it reads of them, and apart for the header.
    const int64_t asked = passes == 1 ? header : 0;
    for (int64_t line = 0; line < asked; line += kLineBytes)
      prefetch_to_l2(well_ahead_of(weights + line));
    for (int64_t pass = 0; pass < passes; ++pass) {
      const int64_t t = pass % tiles, begin = rows * t / tiles, end = rows * (t + 1) / tiles;
      const int vector = static_cast<int>(pass / tiles) * vectors;
      panel.run({.rows = end - begin,
                 .number = pass,
                 .of = passes,
                 .vector = vector,
                 .ahead = {ahead_of(weights + asked, bytes, pass, passes),
                           (bytes - asked) / step_blocks / passes},
                 .x = call.x + (first_row + begin) * call.x_stride + k,
                 .x_stride = call.x_stride,
                 .inputs = std::min(step, shape.in - k),
                 .sums = sums + rows * vector * kLanes + begin * vectors * kLanes,
                 .first = k == 0});
    }
    panel.advance(step_blocks);
    weights += bytes;
    header = 0;
  }
  for (int64_t vector = 0; vector < kPanelVectors; vector += vectors) {
    store(shape, call, sums + rows * vector * kLanes, first_row, rows,
          number * kPanel + vector * kLanes, vectors * kLanes);
  }
}

template <class Panel>
void run_panels(const PackedShape& shape, const LinearCall& call) {
  for (int64_t row = 0; row < call.rows; row += kRowBlock) {
    const int64_t rows = std::min(kRowBlock, call.rows - row);
    for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
      run_panel<Panel>(shape, call, row, rows, panel);
    }
  }
}

void run(const PackedShape& shape, const LinearCall& call) {
  switch (shape.type) {
    case WeightType::kBfloat16:
      return run_panels<StoredPanel<Bfloat16>>(shape, call);
    case WeightType::kCompactBfloat16:
#if SURPRISAL_COMPACT
      return run_panels<CompactPanel>(shape, call);
#else
      HWY_ABORT("compact weights on a path that does not take them");
#endif
    case WeightType::kFloat16:
      return run_panels<StoredPanel<Float16>>(shape, call);
    case WeightType::kFloat32:
      return run_panels<StoredPanel<Float32>>(shape, call);
    case WeightType::kInt8:
      return run_panels<StoredPanel<Int8>>(shape, call);
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

void round(const RoundCall& call) {
  for (int64_t r = 0; r < call.rows; ++r) {
    const float* const x = call.x + r * call.x_stride;
    float* const to = call.to + r * call.to_stride;
    int64_t i = 0;
    for (; i + kLanes <= call.n; i += kLanes) round_lanes(Floats(), x + i, to + i);
    for (; i < call.n; ++i) round_lanes(hn::CappedTag<float, 1>(), x + i, to + i);
  }
}

constexpr LinearKernels kKernels = {SURPRISAL_COMPACT, run, round, 1, run};

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

const LinearKernels& linear_kernels(CpuPath path) {
#if HWY_TARGETS & HWY_AVX3
  static constexpr LinearKernels kWithDotProducts = {true, N_AVX3::run, bfloat16::round, 2,
                                                     bfloat16::run};
  static constexpr LinearKernels kWithTiles = {true, N_AVX3::run, bfloat16::round, 2, amx::run};
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
