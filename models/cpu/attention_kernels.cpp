// Attention of a few queries over one chunk of keys, compiled once for each CPU path.
//
// Scores: keys lie across SIMD lanes (the cache keeps a block's keys side by side), the head
// dimension is summed in order. Output: the head dimension lies across lanes, keys are summed in
// order. Neither order depends on how many queries share the tile; sharing saves loads of keys and
// values. All heads of a group, and neighbouring positions of a prefill, share a tile.
#include "models/cpu/attention_kernels.h"

#include "models/cpu/amx_attention.h"
#include "models/cpu/bfloat16_attention.h"
#include "models/cpu/fetcher.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/cpu/attention_kernels.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
// The first of these compiles this file anew for each target.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
#include "models/cpu/exponential-inl.h"
// clang-format on

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Vector = hn::Vec<Floats>;
using Mask = hn::Mask<Floats>;

constexpr int64_t kLanes = HWY_LANES(float);
constexpr int64_t kChunkVectors = kChunkKeys / kLanes;
// Of 16 registers 6 rows would take more than there are, and each addition wait for memory.
constexpr int kTileRows = kLanes >= 16 ? 12 : 5;
// Vectors a tile of R rows keeps in registers, of 32 or 16.
constexpr int vectors_for(int rows) {
  return kLanes >= 16 ? (rows <= 6 ? 4 : 2) : (rows <= 3 ? 4 : 2);
}

HWY_INLINE Vector iota(int64_t first) {
  return hn::Iota(Floats(), static_cast<float>(first));
}

HWY_INLINE Vector load(const float* from) {
  return hn::LoadU(Floats(), from);
}
HWY_INLINE Vector load_first(size_t count, const float* from) {
  return hn::MaskedLoad(hn::FirstN(Floats(), count), Floats(), from);
}

// Both types of cache are read in pairs, of dimensions or of keys: float32 as two lines of floats,
// a step from each other, bfloat16 as one of words. kHalf is which of the two.
using Pair = uint32_t;  // the even number of two below
template <class Stored>
constexpr int kPairLines = std::is_same_v<Stored, Pair> ? 1 : 2;
template <class Stored>
const Stored* stored(const void* numbers) {
  return static_cast<const Stored*>(numbers);
}

template <int kHalf>
HWY_INLINE Vector half_of(hn::Vec<Words> pairs) {
  if constexpr (kHalf == 0) return hn::BitCast(Floats(), hn::ShiftLeft<16>(pairs));
  return hn::BitCast(Floats(), hn::And(pairs, hn::Set(Words(), 0xffff0000u)));
}
template <int kHalf>
HWY_INLINE Vector load_half(const float* from, int64_t step) {
  return load(from + kHalf * step);
}
template <int kHalf>
HWY_INLINE Vector load_half(const Pair* from, int64_t) {
  return half_of<kHalf>(hn::LoadU(Words(), from));
}
template <int kHalf>
HWY_INLINE Vector load_half_first(size_t count, const float* from, int64_t step) {
  return load_first(count, from + kHalf * step);
}
template <int kHalf>
HWY_INLINE Vector load_half_first(size_t count, const Pair* from, int64_t) {
  return half_of<kHalf>(hn::MaskedLoad(hn::FirstN(Words(), count), Words(), from));
}

// Cache lines that V vectors of a pair come from, and so may fetch.
template <class Stored, int V>
constexpr int kStepLines = std::max<int>(1, V* kLanes* kPairLines<Stored> * sizeof(Stored) /
                                                kLineBytes);

template <int kHalf, class Stored, int R, int V>
HWY_INLINE void add_dimension(const ChunkCall& call, const Stored* const (&keys)[V], int64_t d,
                              Vector (&acc)[R][V]) {
  const auto load_key = [&](int v) HWY_ATTR {
    return load_half<kHalf>(keys[v] + d / 2 * kPairLines<Stored> * kBlockKeys, kBlockKeys);
  };
  const auto load_query = [&](int r) HWY_ATTR {
    return hn::Set(Floats(), call.q[r * call.dim + d + kHalf]);
  };
  // The fewer of both stay in registers while the others pass.
  if constexpr (R < V) {
    Vector q[R];
    for (int r = 0; r < R; ++r) q[r] = load_query(r);
    for (int v = 0; v < V; ++v) {
      const Vector k = load_key(v);
      for (int r = 0; r < R; ++r) acc[r][v] = hn::MulAdd(k, q[r], acc[r][v]);
    }
  } else {
    Vector k[V];
    for (int v = 0; v < V; ++v) k[v] = load_key(v);
    for (int r = 0; r < R; ++r) {
      const Vector q = load_query(r);
      for (int v = 0; v < V; ++v) acc[r][v] = hn::MulAdd(k[v], q, acc[r][v]);
    }
  }
}

// scores[r][j] = q[r] . key[j] for V vectors of keys.
template <class Stored, int R, int V>
HWY_INLINE void score_keys(const ChunkCall& call, int64_t first, Fetcher& fetcher) {
  const Stored* keys[V];
  for (int v = 0; v < V; ++v) {
    const int64_t key = (first + v) * kLanes;
    keys[v] = stored<Stored>(call.keys[key / kBlockKeys]) + key % kBlockKeys;
  }
  Vector acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) acc[r][v] = hn::Zero(Floats());
  }
  for (int64_t d = 0; d < call.dim; d += 2) {
    fetcher.fetch(kStepLines<Stored, V>);
    add_dimension<0>(call, keys, d, acc);
    HWY_FENCE;  // or the pairs would stay in registers that the sums need
    add_dimension<1>(call, keys, d, acc);
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      hn::Store(acc[r][v], Floats(), call.scores + r * kChunkKeys + (first + v) * kLanes);
    }
  }
}

// For the vectors of keys that hold any of [0, used), and perhaps a few more.
template <class Stored, int R>
void score(const ChunkCall& call, Fetcher& fetcher) {
  // Of 16 registers the mask of pairs' odd halves takes one.
  constexpr bool kTight = kLanes < 16 && R == 3 && std::is_same_v<Stored, Pair>;
  constexpr int V = kTight ? 3 : vectors_for(R), H = V / 2;
  const int64_t vectors = (call.used + kLanes - 1) / kLanes;
  int64_t first = 0;
  for (; vectors - first > H && first + V <= kChunkVectors; first += V) {
    score_keys<Stored, R, V>(call, first, fetcher);
  }
  for (; first < vectors; first += H) score_keys<Stored, R, H>(call, first, fetcher);
}

HWY_INLINE float sum(Vector v) {
  return hn::GetLane(hn::SumOfLanes(Floats(), v));
}

// Scales one row's products with keys and turns them into weights, in place.
template <bool kStatistics>
ChunkState soften(const ChunkCall& call, int row, Fetcher& fetcher) {
  constexpr int kLines = kLanes / 4;  // scores are few and take long
  const Floats d;
  float* const scores = call.scores + row * kChunkKeys;
  const int64_t vectors = (call.used + kLanes - 1) / kLanes;
  const Vector scale = hn::Set(d, call.scale);
  const Vector low = hn::Set(d, static_cast<float>(call.begin[row]));
  const Vector high = hn::Set(d, static_cast<float>(call.end[row]));
  const auto seen = [&](int64_t v, Vector x, Vector otherwise) HWY_ATTR {
    if (v * kLanes >= call.begin[row] && (v + 1) * kLanes <= call.end[row]) return x;
    const Vector key = iota(v * kLanes);
    return hn::IfThenElse(hn::And(hn::Ge(key, low), hn::Lt(key, high)), x, otherwise);
  };
  const Vector zero = hn::Zero(d);
  ChunkState state;
  Vector top = hn::Set(d, state.top);
  for (int64_t v = 0; v < vectors; ++v) {
    const Vector s = hn::Mul(hn::Load(d, scores + v * kLanes), scale);
    hn::Store(s, d, scores + v * kLanes);
    top = hn::Max(top, seen(v, s, top));
  }
  state.first_score = scores[0];
  top = hn::MaxOfLanes(d, top);
  Vector total = zero, first = zero, second = zero, abs = zero;
  for (int64_t v = 0; v < vectors; ++v) {
    fetcher.fetch(kLines);
    const Vector s = hn::Load(d, scores + v * kLanes);
    const Vector distance = seen(v, hn::Sub(s, top), zero);
    const Vector w = seen(v, exponential(d, distance), zero);
    total = hn::Add(total, w);
    if constexpr (kStatistics) {
      const Vector wd = hn::Mul(w, distance);
      first = hn::Add(first, wd);
      second = hn::MulAdd(wd, distance, second);
      abs = hn::Add(abs, seen(v, hn::Abs(s), zero));
    }
    hn::Store(w, d, scores + v * kLanes);
  }
  state.top = hn::GetLane(top);
  state.total = sum(total);
  if constexpr (kStatistics) {
    state.first_moment = sum(first);
    state.second_moment = sum(second);
    state.abs_sum = sum(abs);
  }
  return state;
}

// Turns products with keys into weights, row by row.
void soften_rows(const ChunkCall& call, Fetcher& fetcher) {
  for (int r = 0; r < call.rows; ++r) {
    call.states[r] = (call.statistics ? soften<true> : soften<false>)(call, r, fetcher);
  }
  if (call.cache == CacheType::kFloat32) return;
  call.round({.x = call.scores,
              .to = call.weights,
              .n = call.blocks() * kBlockKeys,
              .rows = call.rows,
              .x_stride = kChunkKeys,
              .to_stride = kChunkKeys});
}

// Rows and keys of a sum of values: rows [row, row + R), keys [begin, end) of the chunk; begin is
// even.
struct Weighing {
  int64_t row, begin, end;
};

template <int kHalf, bool kPartial, class Stored>
HWY_INLINE Vector load_columns(const Stored* value, size_t columns, int64_t step) {
  if constexpr (kPartial) return load_half_first<kHalf>(columns, value, step);
  return load_half<kHalf>(value, step);
}

template <int kHalf, bool kPartial, class Stored, int R, int V>
HWY_INLINE void add_key(const ChunkCall& call, const Stored* value, size_t columns,
                        const float* weight, Vector (&acc)[R][V]) {
  for (int v = 0; v < V; ++v) {
    const Vector x = load_columns<kHalf, kPartial>(value + v * kLanes, columns, call.dim);
    for (int r = 0; r < R; ++r) {
      acc[r][v] = hn::MulAdd(x, hn::Set(Floats(), weight[r * kChunkKeys + kHalf]), acc[r][v]);
    }
  }
}

// sums[r][column...] = (begin > 0 ? sums[r][column...] : 0) + sum over keys of weights[r][j] *
// value[j][column...], V vectors of columns, of which the last may be partial.
template <class Stored, int R, int V, bool kPartial>
HWY_INLINE void weigh_columns(const ChunkCall& call, const Weighing& part, int64_t column,
                              Fetcher& fetcher) {
  const Floats d;
  const auto left = static_cast<size_t>(call.dim - column);
  float* const sums = call.sums + part.row * call.dim + column;
  Vector acc[R][V];
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      acc[r][v] = part.begin > 0
                      ? load_columns<0, kPartial>(sums + r * call.dim + v * kLanes, left, 0)
                      : hn::Zero(d);
    }
  }
  for (int64_t key = part.begin; key < part.end; key += 2) {
    fetcher.fetch(kStepLines<Stored, V>);
    const Stored* const value = stored<Stored>(call.values[key / kBlockKeys]) + column +
                                key % kBlockKeys / 2 * kPairLines<Stored> * call.dim;
    const float* const weight = call.weights + part.row * kChunkKeys + key;
    add_key<0, kPartial>(call, value, left, weight, acc);
    HWY_FENCE;  // as in score_keys()
    if (key + 1 < part.end) add_key<1, kPartial>(call, value, left, weight, acc);
  }
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < V; ++v) {
      float* const to = sums + r * call.dim + v * kLanes;
      if (kPartial) {
        hn::BlendedStore(acc[r][v], hn::FirstN(d, left), d, to);
      } else {
        hn::StoreU(acc[r][v], d, to);
      }
    }
  }
}

template <class Stored, int R>
void weigh(const ChunkCall& call, const Weighing& part, Fetcher& fetcher) {
  constexpr int V = vectors_for(R);
  int64_t column = 0;
  for (; column + V * kLanes <= call.dim; column += V * kLanes) {
    weigh_columns<Stored, R, V, false>(call, part, column, fetcher);
  }
  for (; column + kLanes <= call.dim; column += kLanes) {
    weigh_columns<Stored, R, 1, false>(call, part, column, fetcher);
  }
  if (column < call.dim) weigh_columns<Stored, R, 1, true>(call, part, column, fetcher);
}

template <class Stored, int R>
void chunk_of(const ChunkCall& call) {
  Fetcher fetcher(call);
  score<Stored, R>(call, fetcher);
  soften_rows(call, fetcher);
  const int64_t common = common_keys(call, 2);
  weigh<Stored, R>(call, {0, 0, common}, fetcher);
  for (int r = 0; r < R; ++r) {
    if (call.end[r] > common) weigh<Stored, 1>(call, {r, common, call.end[r]}, fetcher);
  }
}

template <class Stored>
void chunk_of_any(const ChunkCall& call) {
  using Kernel = void (*)(const ChunkCall&);
  static constexpr auto kKernels = []<size_t... R>(std::index_sequence<R...>) {
    return std::array<Kernel, sizeof...(R)>{chunk_of<Stored, R + 1>...};
  }
  (std::make_index_sequence<kTileRows>());
  kKernels[static_cast<size_t>(call.rows - 1)](call);
}

void chunk(const ChunkCall& call) {
  call.cache == CacheType::kFloat32 ? chunk_of_any<float>(call) : chunk_of_any<Pair>(call);
}

void disagreement(const DisagreementCall& call, float (&sums)[2]) {
  const Floats d;
  const Vector share = hn::Set(d, 1.0f / static_cast<float>(call.heads));
  Vector distance[2] = {hn::Zero(d), hn::Zero(d)};
  for (int64_t v = 0; v * kLanes < call.keys; ++v) {
    Vector mean[2] = {hn::Zero(d), hn::Zero(d)};
    for (int64_t h = 0; h < call.heads; ++h) {
      prefetch_to_l2(call.next + h * kChunkKeys + v * kLanes);
      const Vector w = hn::LoadU(d, call.weights + h * kChunkKeys + v * kLanes);
      for (int i = 0; i < 2; ++i) {
        mean[i] = hn::MulAdd(w, hn::Set(d, call.factors[i][h]), mean[i]);
      }
    }
    for (Vector& m : mean) m = hn::Mul(m, share);
    for (int64_t h = 0; h < call.heads; ++h) {
      const Vector w = hn::LoadU(d, call.weights + h * kChunkKeys + v * kLanes);
      for (int i = 0; i < 2; ++i) {
        distance[i] =
            hn::Add(distance[i], hn::Abs(hn::MulSub(w, hn::Set(d, call.factors[i][h]), mean[i])));
      }
    }
  }
  for (int i = 0; i < 2; ++i) sums[i] = sum(distance[i]);
}

constexpr AttentionKernels kAttentionKernels = {kTileRows, false, chunk, disagreement};

#if HWY_TARGET == HWY_AVX3
static_assert(kTileRows <= bfloat16::kAttentionRows && kTileRows <= amx::kAttentionRows);

void chunk_with_dot_products(const ChunkCall& call) {
  if (call.cache == CacheType::kFloat32) return chunk(call);
  Fetcher fetcher(call);
  bfloat16::score(call, fetcher);
  soften_rows(call, fetcher);
  bfloat16::weigh(call, fetcher);
}

void chunk_with_tiles(const ChunkCall& call) {
  if (call.cache == CacheType::kFloat32) return chunk(call);
  Fetcher fetcher(call);
  amx::score(call, fetcher);
  soften_rows(call, fetcher);
  amx::weigh(call, fetcher);
  fetcher.fetch_rest();
}

constexpr AttentionKernels kWithTiles = {kTileRows, true, chunk_with_tiles, disagreement};
constexpr AttentionKernels kWithDotProducts = {kTileRows, false, chunk_with_dot_products,
                                               disagreement};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

const AttentionKernels& attention_kernels(CpuPath path) {
#if HWY_TARGETS & HWY_AVX3
  if (path == CpuPath::kAmx) return N_AVX3::kWithTiles;
  if (path == CpuPath::kAvx512Bf16) return N_AVX3::kWithDotProducts;
  if (path == CpuPath::kAvx512) return N_AVX3::kAttentionKernels;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (path == CpuPath::kAvx2) return N_AVX2::kAttentionKernels;
#endif
  return HWY_STATIC_DISPATCH(kAttentionKernels);
}

}  // namespace surprisal
#endif
