#include "models/cpu/bfloat16_attention.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <utility>

// Highway 1.0 has no target with these instructions.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace surprisal::bfloat16 {
namespace {

constexpr int kLanes = 16;
static_assert(kBlockKeys == kLanes);
// Of a block's keys in two neighbouring dimensions, words 2 i and 2 i + 1 become those of key i.
alignas(64) constexpr auto kInterleave = [] {
  std::array<uint16_t, 2 * kLanes> order{};
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = static_cast<uint16_t>(i / 2 + i % 2 * kLanes);
  }
  return order;
}();
// Accumulators of a row, so that those of all rows stay in registers.
constexpr int vectors_for(int rows) {
  return rows <= 6 ? 4 : 2;
}

HWY_INLINE __m512bh pairs(__m512i words) {
  return reinterpret_cast<__m512bh>(words);
}
HWY_INLINE __m512bh broadcast(const float* pair) {
  return reinterpret_cast<__m512bh>(_mm512_set1_ps(*pair));
}

template <int R>
void score_rows(const ChunkCall& call, Fetcher& fetcher) {
  constexpr int V = vectors_for(R);
  const __m512i interleave = _mm512_load_si512(kInterleave.data());
  for (int64_t first = 0; first * kBlockKeys < call.used; first += V) {
    const uint16_t* keys[V];
    for (int v = 0; v < V; ++v) keys[v] = static_cast<const uint16_t*>(call.keys[first + v]);
    __m512 acc[R][V];
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
    }
    for (int64_t d = 0; d < call.dim; d += 2) {
      fetcher.fetch(V);
      const __mmask32 both = d + 1 < call.dim ? ~__mmask32{0} : __mmask32{0xffff};
      __m512bh k[V];
      for (int v = 0; v < V; ++v) {
        const __m512i two = _mm512_maskz_loadu_epi16(both, keys[v] + d * kBlockKeys);
        k[v] = pairs(_mm512_permutexvar_epi16(interleave, two));
      }
      for (int r = 0; r < R; ++r) {
        const __m512bh q = broadcast(call.q + r * call.dim + d / 2);
        for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], k[v], q);
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int v = 0; v < V; ++v) {
        _mm512_store_ps(call.scores + r * kChunkKeys + (first + v) * kLanes, acc[r][v]);
      }
    }
  }
}

// Rows [row, row + R), keys [begin, end) of the chunk; begin is even.
struct Part {
  int64_t row, begin, end;
};

// Goes on with sums (or, from key 0 on, begins them): V / 2 times 32 columns from `column` on, of
// which the last may be partial.
template <int R, int V>
HWY_INLINE void weigh_columns(const ChunkCall& call, const Part& part, int64_t column,
                              Fetcher& fetcher) {
  constexpr int kWide = V / 2;
  __mmask32 present[kWide];
  for (int v = 0; v < kWide; ++v) {
    const int64_t left = std::clamp<int64_t>(call.dim - column - v * 2 * kLanes, 0, 2 * kLanes);
    present[v] = static_cast<__mmask32>((uint64_t{1} << left) - 1);
  }
  // Of 32 columns, the first register holds within each quarter columns 8 l to 8 l + 3, the second
  // 8 l + 4 to 8 l + 7: as unpacking leaves them.
  const __m512i unpacked =
      _mm512_setr_epi32(0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  const __m512i packed = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const auto half = [&](int v) { return static_cast<__mmask16>(present[v / 2] >> v % 2 * kLanes); };
  float* const sums = call.sums + part.row * call.dim + column;
  __m512 acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
    if (part.begin == 0) continue;
    for (int v = 0; v < V; v += 2) {
      const float* const from = sums + r * call.dim + v * kLanes;
      const __m512 a = _mm512_maskz_loadu_ps(half(v), from);
      const __m512 b = _mm512_maskz_loadu_ps(half(v + 1), from + kLanes);
      acc[r][v] = _mm512_permutex2var_ps(a, unpacked, b);
      acc[r][v + 1] =
          _mm512_permutex2var_ps(a, _mm512_add_epi32(unpacked, _mm512_set1_epi32(4)), b);
    }
  }
  for (int64_t key = part.begin; key < part.end; key += 2) {
    fetcher.fetch(V);
    const auto* const value = static_cast<const uint16_t*>(call.values[key / kBlockKeys]) +
                              key % kBlockKeys * call.dim + column;
    const bool both = key + 1 < part.end;  // a weight of 0 would not keep out NaN
    __m512bh x[V];
    for (int v = 0; v < kWide; ++v) {
      const uint16_t* const from = value + v * 2 * kLanes;
      const __m512i even = _mm512_maskz_loadu_epi16(present[v], from);
      const __m512i odd = _mm512_maskz_loadu_epi16(both ? present[v] : 0, from + call.dim);
      x[2 * v] = pairs(_mm512_unpacklo_epi16(even, odd));
      x[2 * v + 1] = pairs(_mm512_unpackhi_epi16(even, odd));
    }
    const float* const weights = call.weights + part.row * kChunkKeys + key / 2;
    for (int r = 0; r < R; ++r) {
      const __m512bh w = broadcast(weights + r * kChunkKeys);
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], x[v], w);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; v += 2) {
      float* const to = sums + r * call.dim + v * kLanes;
      const __m512 &a = acc[r][v], &b = acc[r][v + 1];
      _mm512_mask_storeu_ps(to, half(v), _mm512_permutex2var_ps(a, packed, b));
      _mm512_mask_storeu_ps(
          to + kLanes, half(v + 1),
          _mm512_permutex2var_ps(a, _mm512_add_epi32(packed, _mm512_set1_epi32(8)), b));
    }
  }
}

template <int R>
void weigh_rows(const ChunkCall& call, const Part& part, Fetcher& fetcher) {
  constexpr int V = vectors_for(R);
  int64_t column = 0;
  for (; column + (V - 2) * kLanes < call.dim; column += V * kLanes) {
    weigh_columns<R, V>(call, part, column, fetcher);
  }
  if (column < call.dim) weigh_columns<R, 2>(call, part, column, fetcher);
}

using Score = void (*)(const ChunkCall&, Fetcher&);
using Weigh = void (*)(const ChunkCall&, const Part&, Fetcher&);
template <class Rows>
struct Kernels;
template <int... R>
struct Kernels<std::integer_sequence<int, R...>> {
  static constexpr Score kScore[] = {score_rows<R + 1>...};
  static constexpr Weigh kWeigh[] = {weigh_rows<R + 1>...};
};
using OfRows = Kernels<std::make_integer_sequence<int, kAttentionRows>>;

}  // namespace

void score(const ChunkCall& call, Fetcher& fetcher) {
  OfRows::kScore[call.rows - 1](call, fetcher);
}

void weigh(const ChunkCall& call, Fetcher& fetcher) {
  const auto [least, most] = std::minmax_element(call.end, call.end + call.rows);
  // Keys that only some rows see are added to those alone, whole pairs at a time.
  const int64_t common = *least == *most ? *least : *least / 2 * 2;
  OfRows::kWeigh[call.rows - 1](call, {0, 0, common}, fetcher);
  for (int64_t r = 0; r < call.rows; ++r) {
    if (call.end[r] > common) weigh_rows<1>(call, {r, common, call.end[r]}, fetcher);
  }
}

}  // namespace surprisal::bfloat16
HWY_POP_ATTRIBUTES
#endif
