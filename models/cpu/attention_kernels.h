#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "models/cpu/cpu_path.h"
#include "models/cpu/linear_kernels.h"

namespace surprisal {

/// Attention is summed in chunks of this many absolute positions, each on its own and then merged
/// in order, so that a query's result has the same bits prefilled or decoded, in any tile, on any
/// number of threads. A multiple of KVCache::kBlockTokens.
inline constexpr int64_t kChunkKeys = 128;
inline constexpr int64_t kBlockKeys = 16;
inline constexpr int64_t kChunkBlocks = kChunkKeys / kBlockKeys;

/// How a block's keys and values of one head lie in the cache:
///   float32:   keys [D][kBlockKeys], values [kBlockKeys][D]
///   bfloat16:  keys [D / 2][kBlockKeys][2], values [kBlockKeys / 2][D][2]
/// Pairs, of dimensions and of keys, are what dot products and tiles take; a 32-bit word of two
/// widens to the even number with a shift and to the odd one with a mask. Over bfloat16 both
/// products take their other input, queries and weights w, rounded to bfloat16 as well, and sum in
/// float32; statistics see the weights as they were.
enum class CacheType : uint8_t { kFloat32, kBfloat16 };
constexpr int64_t cache_bytes(CacheType type) {
  return type == CacheType::kFloat32 ? 4 : 2;
}

/// What one head's query makes of one chunk. Scores s are scaled; w = exp(s - top).
struct ChunkState {
  float top = -std::numeric_limits<float>::infinity();
  float total = 0;          ///< sum of w
  float first_moment = 0;   ///< sum of w (s - top)
  float second_moment = 0;  ///< sum of w (s - top)^2
  float abs_sum = 0;        ///< sum of |s|
  float first_score = 0;    ///< s of the chunk's first key, seen or not
};

/// A tile of queries that look at one chunk of one key/value head.
struct ChunkCall {
  int64_t rows;    ///< <= AttentionKernels::tile_rows
  int64_t dim;     ///< D, even
  const float* q;  ///< [rows][D]; for a cache in bfloat16 each as `round` leaves it
  float scale;     ///< of the scores
  CacheType cache;
  void (*round)(const RoundCall& call);  ///< LinearKernels::round
  const void* const* keys;               ///< [kChunkBlocks]
  const void* const* values;             ///< [kChunkBlocks]
  /// Blocks of keys and of values that this call or the next ones will read, to be fetched in the
  /// meantime: at most kCatchUp more than this one reads.
  static constexpr int64_t kCatchUp = 2;
  const void* const* next;
  int64_t next_blocks;
  int64_t used;          ///< keys that some row sees: [0, used) of the chunk
  const int32_t* begin;  ///< [rows] each row sees [begin, end) of the chunk
  const int32_t* end;
  bool statistics;     ///< moments and abs_sum too
  float* scores;       ///< scratch and out: [rows][kChunkKeys], w; 0 where a row does not see one
                       ///< of the keys [0, used)
  float* weights;      ///< what values meet: `scores`; for a cache in bfloat16 scratch, w rounded
  ChunkState* states;  ///< out: [rows]
  float* sums;         ///< out: [rows][dim], sum of w * value

  int64_t blocks() const { return (used + kBlockKeys - 1) / kBlockKeys; }  ///< that hold these keys
};

/// Keys [0, n) of a chunk that values are summed over for all rows together: what all of them see,
/// in whole units unless they end at the same key. The rest is added to each row that sees it,
/// alone: a weight of 0 would not keep out NaN.
/// @param unit  keys that a kernel takes at a time
inline int64_t common_keys(const ChunkCall& call, int64_t unit) {
  const auto [least, most] = std::minmax_element(call.end, call.end + call.rows);
  return *least == *most ? *least : *least / unit * unit;
}

/// How much heads disagree on one chunk: sums over heads and keys of |p - mean over heads of p|,
/// where p = factor * w.
struct DisagreementCall {
  int64_t heads, keys;
  const float* weights;          ///< [heads][kChunkKeys], of which the first `keys` are compared
  const float* next;             ///< those of the next call, to be fetched in the meantime
  const float* factors[2] = {};  ///< [heads] each: two readings of the same weights
};

struct AttentionKernels {
  int64_t tile_rows;
  /// Whether what a call reads is to be on its way when it begins, values while it scores keys and
  /// the next call's keys while it weighs values. Lines that arrive when they are read go on to the
  /// first-level cache; those that have to be read from the second-level one keep an Intel core's
  /// fetches from memory waiting. Otherwise memory is asked for some calls ahead.
  bool just_in_time;
  void (*chunk)(const ChunkCall& call);
  void (*disagreement)(const DisagreementCall& call, float (&sums)[2]);
};
const AttentionKernels& attention_kernels(CpuPath path);

}  // namespace surprisal
