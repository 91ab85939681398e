#include "models/cpu/bfloat16_kernels.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

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
constexpr int64_t kPairBytes = 4 * kPanel;
// Rows of a tile up to which memory limits it, not arithmetic.
constexpr int kFewRows = 4;

// Adds `pairs` pairs of inputs of R rows to `sums`, [R][kPanel], or for the first inputs sets it.
// @param x      pairs, `stride` of them from row to row
// @param fetch  what to prefetch meanwhile, `fetch_step` bytes with each pair
template <int R>
void tile(const std::byte* weights, const std::byte* fetch, int64_t fetch_step, const float* x,
          int64_t stride, int64_t pairs, float* sums, bool first) {
  __m512 acc[R][kVectors];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      acc[r][v] = first ? _mm512_setzero_ps() : _mm512_load_ps(sums + r * kPanel + v * kLanes);
    }
  }
  for (int64_t k = 0; k < pairs; ++k) {
    __m512bh w[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      prefetch_weights<R <= kFewRows>(fetch + v * 64);
      w[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(weights + v * 64));
    }
    for (int r = 0; r < R; ++r) {
      const auto pair = reinterpret_cast<__m512bh>(_mm512_set1_ps(x[r * stride + k]));
      for (int v = 0; v < kVectors; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], w[v], pair);
    }
    weights += kPairBytes;
    fetch += fetch_step;
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      _mm512_store_ps(sums + r * kPanel + v * kLanes, acc[r][v]);
    }
  }
}

using Tile = void (*)(const std::byte*, const std::byte*, int64_t, const float*, int64_t, int64_t,
                      float*, bool);
template <class Rows>
struct Tiles;
template <int... R>
struct Tiles<std::integer_sequence<int, R...>> {
  static constexpr Tile kOf[] = {tile<R + 1>...};
};

// Rows [first_row, first_row + rows), at most kRowBlock, of one panel.
void run_panel(const PackedShape& shape, const LinearCall& call, int64_t first_row, int64_t rows,
               int64_t panel) {
  alignas(64) float sums[kRowBlock * kPanel];
  const auto* const weights =
      static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
  const int64_t tiles = (rows + kMaxRows - 1) / kMaxRows;  // of sizes that differ by at most one
  const int64_t pairs = (shape.in + 1) / 2;
  for (int64_t k = 0; k < pairs; k += kInputBlock / 2) {
    const int64_t count = std::min(kInputBlock / 2, pairs - k);
    const std::byte* const block = weights + k * kPairBytes;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = rows * t / tiles, end = rows * (t + 1) / tiles;
      const std::byte* const fetch = ahead_of(block, count * kPairBytes, t, tiles);
      Tiles<std::make_integer_sequence<int, kMaxRows>>::kOf[end - begin - 1](
          block, fetch, kPairBytes / tiles, call.x + (first_row + begin) * call.x_stride + k,
          call.x_stride, count, sums + begin * kPanel, k == 0);
    }
  }
  store(shape, call, sums, first_row, rows, panel);
}

}  // namespace

void round(const float* x, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = std::min<int64_t>(n - i, kLanes);
    const __m512 v = _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << left) - 1), x + i);
    const auto words = static_cast<__mmask8>((1u << ((left + 1) / 2)) - 1);
    _mm256_mask_storeu_epi32(to + i / 2, words, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
  }
}

void store(const PackedShape& shape, const LinearCall& call, const float* sums, int64_t first_row,
           int64_t rows, int64_t panel) {
  const __m512 largest = _mm512_set1_ps(std::numeric_limits<float>::max());
  __mmask16 bad = 0;
  for (int64_t output = panel * kPanel, v = 0; v < kVectors && output < shape.out;
       output += kLanes, ++v) {
    const int64_t left = std::min<int64_t>(shape.out - output, kLanes);
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    const __m512 bias =
        call.bias == nullptr ? _mm512_setzero_ps() : _mm512_load_ps(call.bias + output);
    for (int64_t r = 0; r < rows; ++r) {
      float* const to =
          call.y + (first_row + r) * call.y_stride + output - call.first_panel * kPanel;
      __m512 sum = _mm512_add_ps(_mm512_load_ps(sums + r * kPanel + v * kLanes), bias);
      if (call.accumulate) sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, to), sum);
      _mm512_mask_storeu_ps(to, mask, sum);
      bad |= _mm512_mask_cmp_ps_mask(mask, sum, largest, _CMP_NLE_UQ);
    }
  }
  if (bad != 0 && call.bad != nullptr) *call.bad = true;
}

void run(const PackedShape& shape, const LinearCall& call) {
  for (int64_t row = 0; row < call.rows; row += kRowBlock) {
    const int64_t rows = std::min(kRowBlock, call.rows - row);
    for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
      run_panel(shape, call, row, rows, panel);
    }
  }
}

}  // namespace surprisal::bfloat16
HWY_POP_ATTRIBUTES
#endif
