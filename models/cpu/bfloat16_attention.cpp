#include "models/cpu/bfloat16_attention.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <utility>

// Highway 1.0 has no target with these instructions.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")
namespace surprisal::bfloat16 {
namespace {

constexpr int kLanes = 16;
static_assert(kBlockKeys == kLanes);
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

// scores[r][j] = q[r] . key[j] for V blocks of keys.
template <int R, int V>
HWY_INLINE void score_blocks(const ChunkCall& call, int64_t first, Fetcher& fetcher) {
  const uint32_t* keys[V];
  for (int v = 0; v < V; ++v) keys[v] = static_cast<const uint32_t*>(call.keys[first + v]);
  __m512 acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) acc[r][v] = _mm512_setzero_ps();
  }
  for (int64_t pair = 0; pair < call.dim / 2; ++pair) {
    fetcher.fetch(V);
    __m512bh k[V];
    for (int v = 0; v < V; ++v) k[v] = pairs(_mm512_loadu_si512(keys[v] + pair * kBlockKeys));
    for (int r = 0; r < R; ++r) {
      const __m512bh q = broadcast(call.q + r * call.dim + pair);
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], k[v], q);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      _mm512_store_ps(call.scores + r * kChunkKeys + (first + v) * kLanes, acc[r][v]);
    }
  }
}

template <int R>
void score_rows(const ChunkCall& call, Fetcher& fetcher) {
  constexpr int V = vectors_for(R), H = V / 2;
  const int64_t blocks = call.blocks();
  int64_t first = 0;
  for (; blocks - first > H; first += V) score_blocks<R, V>(call, first, fetcher);
  if (first < blocks) score_blocks<R, H>(call, first, fetcher);
}

// Rows [row, row + R), keys [begin, end) of the chunk; begin is even.
struct Part {
  int64_t row, begin, end;
};

// Goes on with sums (or, from key 0 on, begins them): V times 16 columns from `column` on, of which
// the last may be partial.
template <int R, int V>
HWY_INLINE void weigh_columns(const ChunkCall& call, const Part& part, int64_t column,
                              Fetcher& fetcher) {
  __mmask16 present[V];
  for (int v = 0; v < V; ++v) {
    const int64_t left = std::clamp<int64_t>(call.dim - column - v * kLanes, 0, kLanes);
    present[v] = static_cast<__mmask16>((1u << left) - 1);
  }
  float* const sums = call.sums + part.row * call.dim + column;
  __m512 acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      acc[r][v] = part.begin == 0
                      ? _mm512_setzero_ps()
                      : _mm512_maskz_loadu_ps(present[v], sums + r * call.dim + v * kLanes);
    }
  }
  for (int64_t key = part.begin; key < part.end; key += 2) {
    fetcher.fetch(V);
    const auto* const value = static_cast<const uint32_t*>(call.values[key / kBlockKeys]) +
                              key % kBlockKeys / 2 * call.dim + column;
    __m512i x[V];
    for (int v = 0; v < V; ++v) x[v] = _mm512_maskz_loadu_epi32(present[v], value + v * kLanes);
    if (key + 1 == part.end) {  // a weight of 0 would not keep out NaN
      constexpr __mmask32 kEven = 0x55555555;
      for (int v = 0; v < V; ++v) x[v] = _mm512_maskz_mov_epi16(kEven, x[v]);
    }
    const float* const weights = call.weights + part.row * kChunkKeys + key / 2;
    for (int r = 0; r < R; ++r) {
      const __m512bh w = broadcast(weights + r * kChunkKeys);
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbf16_ps(acc[r][v], pairs(x[v]), w);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      _mm512_mask_storeu_ps(sums + r * call.dim + v * kLanes, present[v], acc[r][v]);
    }
  }
}

template <int R>
void weigh_rows(const ChunkCall& call, const Part& part, Fetcher& fetcher) {
  constexpr int V = vectors_for(R);
  int64_t column = 0;
  for (; column + (V - 1) * kLanes < call.dim; column += V * kLanes) {
    weigh_columns<R, V>(call, part, column, fetcher);
  }
  for (; column < call.dim; column += kLanes) weigh_columns<R, 1>(call, part, column, fetcher);
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
  const int64_t common = common_keys(call, 2);
  OfRows::kWeigh[call.rows - 1](call, {0, 0, common}, fetcher);
  for (int64_t r = 0; r < call.rows; ++r) {
    if (call.end[r] > common) weigh_rows<1>(call, {r, common, call.end[r]}, fetcher);
  }
}

}  // namespace surprisal::bfloat16
HWY_POP_ATTRIBUTES
#endif
