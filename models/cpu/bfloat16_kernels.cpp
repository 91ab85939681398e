#include "models/cpu/bfloat16_kernels.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

#include "models/cpu/compact_vectors.h"
#include "models/cpu/prefetch.h"

// Highway 1.0 has no target with these instructions.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace surprisal::bfloat16 {
namespace {

constexpr int kLanes = 16;
constexpr int kVectors = kPanel / kLanes;
// Rows of the largest tile. Registers would do for 14, but tiles of 11 and more are slower.
constexpr int kMaxRows = 10;
// Rows and inputs whose x, and inputs whose weights, stay in the second-level cache.
constexpr int64_t kRowBlock = 192;
constexpr int64_t kInputBlock = 1536;
// Rows of a tile up to which memory limits it, not arithmetic.
constexpr int kFewRows = 4;

// What a tile reads a panel's weights from: those of kPairs pairs of inputs at a time.
class Plain {
 public:
  static constexpr int kPairs = 1;
  static constexpr int64_t kBytes = 4 * kPanel;

  Plain(const std::byte* panel, int64_t /*in*/) : at_(panel) {}
  struct Weights {
    __m512i pair[kPairs][kVectors];
  };
  HWY_INLINE Weights next() {
    Weights weights;
    for (int v = 0; v < kVectors; ++v) weights.pair[0][v] = _mm512_load_si512(at_ + v * 64);
    at_ += kBytes;
    return weights;
  }
  const std::byte* at() const { return at_; }

 private:
  const std::byte* at_;
};
template <class Reader>
struct CompactSource : Reader {
  static constexpr int kPairs = 2;
  static constexpr int64_t kBytes = compact::kUnitBytes;
  using Reader::Reader;
};
using Compact = CompactSource<compact::UnitReader>;
using Decoded = CompactSource<compact::UnitDecoder>;  // for other tiles to read

template <bool kFewRows, class Source>
HWY_INLINE void prefetch_for(const std::byte* from) {
  for (int64_t line = 0; line < Source::kBytes; line += kLineBytes)
    prefetch_weights<kFewRows>(from + line);
}

// Adds the products of the next Source::kPairs pairs of inputs of R rows.
// @param x  the first of these pairs, `stride` pairs from row to row
template <int R, class Source>
HWY_INLINE void multiply_add(__m512 (&acc)[R][kVectors], Source& source, const float* x,
                             int64_t stride) {
  const auto weights = source.next();
  for (int r = 0; r < R; ++r) {
    const float* row = x + r * stride;
    // Or GCC keeps an address for each number instead of each row, most of them not in registers.
    asm("" : "+r"(row));
    for (int i = 0; i < Source::kPairs; ++i) {
      const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_ps(row[i]));
      for (int v = 0; v < kVectors; ++v) {
        const auto w = reinterpret_cast<__m512bh>(weights.pair[i][v]);
        acc[r][v] = _mm512_dpbf16_ps(acc[r][v], w, pair);
      }
    }
  }
}

// Writes sums to y and returns where it then holds NaN or +inf.
// @param output  of the first lane
HWY_INLINE __mmask16 store_sums(const PackedShape& shape, const LinearCall& call, __m512 sum,
                                int64_t row, int64_t output) {
  const int64_t left = std::min<int64_t>(shape.out - output, kLanes);
  const auto mask = static_cast<__mmask16>((1u << left) - 1);
  float* const to = call.y + row * call.y_stride + output - call.first_panel * kPanel;
  if (call.bias != nullptr) sum = _mm512_add_ps(sum, _mm512_load_ps(call.bias + output));
  if (call.accumulate) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
  _mm512_mask_storeu_ps(to, mask, sum);
  const __m512 largest = _mm512_set1_ps(std::numeric_limits<float>::max());
  return _mm512_mask_cmp_ps_mask(mask, sum, largest, _CMP_NLE_UQ);
}

// All panels for the R rows of a call, of which each reads its weights once. What else it touches
// is out of the first-level cache by then, and waits behind the weights that are on their way.
template <class Source, int R>
void run_tile(const PackedShape& shape, const LinearCall& call) {
  const int64_t pairs = (shape.in + 1) / 2;
  __mmask16 bad = 0;
  for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
    const auto* const weights =
        static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
    Source source(weights, shape.in);
    for (const std::byte* header = weights; header < source.at(); header += kLineBytes)
      prefetch_weights<R <= kFewRows>(well_ahead_of(header));
    __m512 acc[R][kVectors];
    for (auto& row : acc) std::fill_n(row, kVectors, _mm512_setzero_ps());
    for (const float *x = call.x, *const end = x + pairs; x < end; x += Source::kPairs) {
      prefetch_for<R <= kFewRows, Source>(well_ahead_of(source.at()));
      multiply_add(acc, source, x, call.x_stride);
    }
    for (int v = 0; v < kVectors && panel * kPanel + v * kLanes < shape.out; ++v) {
      for (int r = 0; r < R; ++r)
        bad |= store_sums(shape, call, acc[r][v], r, panel * kPanel + v * kLanes);
    }
  }
  if (bad != 0 && call.bad != nullptr) *call.bad = true;
}

// A part of the inputs of one panel, which several tiles of rows go over.
struct Part {
  const float* x;  // pairs, `stride` of them from row to row
  int64_t stride, pairs;
  float* sums;  // [R][kPanel]
  bool first;   // sets the sums, instead of adding to them
  const std::byte* fetch;
  int64_t fetch_step;  // bytes to ask for with each pair, at most a line
};
template <class Source, int R>
void add_tile(Source& source, const Part& part) {
  __m512 acc[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      acc[r][v] =
          part.first ? _mm512_setzero_ps() : _mm512_load_ps(part.sums + r * kPanel + v * kLanes);
    }
  }
  Source from = source;
  const std::byte* fetch = part.fetch;
  const int64_t fetch_step = Source::kPairs * part.fetch_step, stride = part.stride;
  for (const float *x = part.x, *const end = x + part.pairs; x < end; x += Source::kPairs) {
    for (int i = 0; i < Source::kPairs; ++i) prefetch_to_l2(fetch + i * kLineBytes);
    fetch += fetch_step;
    multiply_add(acc, from, x, stride);
  }
  source = from;
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v)
      _mm512_store_ps(part.sums + r * kPanel + v * kLanes, acc[r][v]);
  }
}

// Functions for 1 to kMaxRows rows.
template <class Source, class Rows = std::make_integer_sequence<int, kMaxRows>>
struct Tiles;
template <class Source, int... R>
struct Tiles<Source, std::integer_sequence<int, R...>> {
  static constexpr void (*kRun[])(const PackedShape&,
                                  const LinearCall&) = {run_tile<Source, R + 1>...};
  static constexpr void (*kAdd[])(Source&, const Part&) = {add_tile<Source, R + 1>...};
};

// Rows [first_row, first_row + rows), more than kMaxRows and at most kRowBlock, of one panel.
template <class Source>
void run_tiles(const PackedShape& shape, const LinearCall& call, int64_t first_row, int64_t rows,
               int64_t panel) {
  constexpr bool kCompact = std::is_same_v<Source, Compact>;
  alignas(64) float sums[kRowBlock * kPanel];
  alignas(64) std::byte decoded[kCompact ? kInputBlock / 2 * Plain::kBytes : 1];
  const auto* block = static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
  Source source(block, shape.in);
  const int64_t tiles = (rows + kMaxRows - 1) / kMaxRows;  // of sizes that differ by at most one
  const int64_t pairs = (shape.in + 1) / 2;
  for (int64_t k = 0; k < pairs; k += kInputBlock / 2) {
    const int64_t count = std::min(kInputBlock / 2, pairs - k);
    const int64_t header = kCompact ? source.at() - block : 0;
    const int64_t bytes = header + count / Source::kPairs * Source::kBytes;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t row = rows * t / tiles, end = rows * (t + 1) / tiles;
      const Part part = {.x = call.x + (first_row + row) * call.x_stride + k,
                         .stride = call.x_stride,
                         .pairs = count,
                         .sums = sums + row * kPanel,
                         .first = k == 0,
                         .fetch = ahead_of(block, bytes, t, tiles),
                         .fetch_step = (bytes + count * tiles - 1) / (count * tiles)};
      const auto tile = end - row - 1;
      if constexpr (kCompact) {
        if (t == 0) {
          Decoded first(source, decoded);
          Tiles<Decoded>::kAdd[tile](first, part);
          static_cast<compact::UnitReader&>(source) = first;
          continue;
        }
      }
      Plain plain(kCompact ? decoded : block, shape.in);
      Tiles<Plain>::kAdd[tile](plain, part);
    }
    block += bytes;
  }
  store(shape, call, sums, first_row, rows, panel);
}

template <class Source>
void run(const PackedShape& shape, const LinearCall& call) {
  if (call.rows <= kMaxRows) return Tiles<Source>::kRun[call.rows - 1](shape, call);
  const int64_t blocks = (call.rows + kRowBlock - 1) / kRowBlock;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t row = call.rows * block / blocks, end = call.rows * (block + 1) / blocks;
    for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel)
      run_tiles<Source>(shape, call, row, end - row, panel);
  }
}

void round_row(const float* x, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const __m512 low = _mm512_loadu_ps(x + i), high = _mm512_loadu_ps(x + i + kLanes);
    _mm512_storeu_si512(to + i / 2, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  for (; i + kLanes <= n; i += kLanes) {
    const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_loadu_ps(x + i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2), rounded);
  }
  if (i == n) return;
  const __m512 v = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << (n - i)) - 1), x + i);
  const auto words = static_cast<__mmask8>((1u << ((n - i + 1) / 2)) - 1);
  _mm256_mask_storeu_epi32(to + i / 2, words, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

}  // namespace

void round(const RoundCall& call) {
  for (int64_t r = 0; r < call.rows; ++r)
    round_row(call.x + r * call.x_stride, call.n, call.to + r * call.to_stride);
}

void store(const PackedShape& shape, const LinearCall& call, const float* sums, int64_t first_row,
           int64_t rows, int64_t panel) {
  __mmask16 bad = 0;
  for (int64_t output = panel * kPanel, v = 0; v < kVectors && output < shape.out;
       output += kLanes, ++v) {
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 sum = _mm512_load_ps(sums + r * kPanel + v * kLanes);
      bad |= store_sums(shape, call, sum, first_row + r, output);
    }
  }
  if (bad != 0 && call.bad != nullptr) *call.bad = true;
}

void run(const PackedShape& shape, const LinearCall& call) {
  if (shape.type == WeightType::kCompactBfloat16) return run<Compact>(shape, call);
  run<Plain>(shape, call);
}

}  // namespace surprisal::bfloat16
HWY_POP_ATTRIBUTES
#endif
