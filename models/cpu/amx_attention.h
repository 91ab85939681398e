#pragma once

#include "models/cpu/attention_kernels.h"
#include "models/cpu/fetcher.h"

/// The two products of attention over keys and values in bfloat16 by AMX's tiles, for processors
/// that bfloat16_attention.h would have in half the speed of float32's. A block's keys in 16 pairs
/// of dimensions are a tile as they lie in the cache, and so are the 8 pairs of its values in 16
/// columns. A sum's order, which is tile by tile, does not depend on how many rows share a call.
namespace surprisal::amx {

inline constexpr int64_t kAttentionRows = 16;  ///< of a call at most

/// Whether tiles serve a model: its heads have to consist of whole ones, and enough heads to share
/// keys and values. On a Sapphire Rapids, 12 rows take half the time of float32's multiply-adds; 3,
/// a decoding SmolLM2's, three quarters. Not a matter of a call's own rows, on which no row's bits
/// may depend.
/// @param group  heads of a key/value head
constexpr bool attention_takes(int64_t dim, int64_t group) {
  return dim % 32 == 0 && group >= 3;
}

/// As bfloat16::score() and bfloat16::weigh().
void score(const ChunkCall& call, Fetcher& fetcher);
void weigh(const ChunkCall& call, Fetcher& fetcher);

}  // namespace surprisal::amx
