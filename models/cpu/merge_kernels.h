#pragma once

#include <array>
#include <cstdint>

#include "models/cpu/attention_kernels.h"

namespace surprisal {

/// Some heads of one query, to be put together from what their chunks left. Position 0, which no
/// chunk's sums hold, joins them here, so that it can also be left out.
///
/// Of a set of scores s (nats) z = sum e, a = sum e (s - m) and b = sum e (s - m)^2 are kept, with
/// e = exp(s - m) about a shift m, its maximum. Sets merge, in order of position: flash-decoding's
/// rule with two more moments. Masked scores never enter. In float64, heads across SIMD lanes.
struct MergeCall {
  static constexpr int64_t kMostHeads = 16;
  int64_t heads;  ///< <= kMostHeads
  int64_t chunks;
  int64_t stride;            ///< heads from chunk to chunk
  const ChunkState* states;  ///< [chunks][stride]
  const float* sums;         ///< [chunks][stride][dim]
  int64_t dim;
  CacheType cache;
  const void* const* first_values;  ///< [heads], of position 0; null: that is not seen
  bool statistics;
  double empty = 0;  ///< further scores of 0 that padding adds, for what is named padded below
  /// Out: what a chunk's w is to be multiplied with to be a probability, one among all positions
  /// but 0, and a padded one. Null: not wanted; but `factors` is.
  float* factors;                          ///< [chunks][stride]
  float* factors_without_first = nullptr;  ///< likewise
  float* padded_factors = nullptr;         ///< likewise
  float* outputs;                          ///< out: [heads][dim]
};

/// What becomes of each head: of all its scores, except where named otherwise.
struct MergedHeads {
  using Heads = std::array<double, MergeCall::kMostHeads>;
  alignas(64) Heads first;  ///< probability of position 0; 0 when not seen
  // With statistics:
  alignas(64) Heads entropy;  ///< nats
  alignas(64) Heads varentropy;
  alignas(64) Heads log_sum_exp;
  alignas(64) Heads max_probability;
  alignas(64) Heads abs_sum;  ///< of the scores
  // With padded factors:
  alignas(64) Heads padded_entropy;
  alignas(64) Heads padded_first;
  alignas(64) Heads padded_empty;  ///< probability of one of the empty scores; 0 without any
};

/// NaN, of infinite scores, stays NaN.
using Merge = void (*)(const MergeCall& call, MergedHeads& merged);
Merge merge_kernel(CpuPath path);

}  // namespace surprisal
