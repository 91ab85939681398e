#pragma once

#include "models/cpu/attention_kernels.h"
#include "models/cpu/fetcher.h"

// The two products of attention over keys and values in bfloat16, by dot products of pairs: a query
// with keys over pairs of dimensions, and weights with values over pairs of keys. A sum's order
// does not depend on how many rows share a tile.
namespace surprisal::bfloat16 {

inline constexpr int kAttentionRows = 12;  ///< of a call at most

/// scores[r][j] = q[r] . key[j], for the blocks of keys that hold any of [0, used).
/// @param call  q in pairs
void score(const ChunkCall& call, Fetcher& fetcher);

/// sums[r] = sum over keys [0, end[r]) of weights[r][j] * value[j].
/// @param call  weights in pairs
void weigh(const ChunkCall& call, Fetcher& fetcher);

}  // namespace surprisal::bfloat16
