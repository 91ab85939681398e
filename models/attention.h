#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace surprisal {

/// The queries of one ragged row: `count` new tokens at positions [first, first + count) whose keys
/// and values, like those of all earlier positions, already stand in the row's blocks.
struct AttentionRow {
  std::span<const int64_t> blocks;
  int64_t first = 0, count = 0;
  int64_t begin = 0;  ///< the row's first query in q
};

/// One layer's attention over ragged rows.
struct AttentionInput {
  const at::Tensor& q;       ///< [N, H, D], rotated; N = sum of the rows' counts
  const at::Tensor& keys;    ///< [blocks, K, kBlockTokens, D], or with pairs: see KVCache
  const at::Tensor& values;  ///< likewise
  std::span<const AttentionRow> rows;
  int64_t window = 0;  ///< newest keys a query sees, itself included; 0 = all
  double scale = 1;    ///< of q.k: raw scores are scale * q.k
};

/// What is wanted of one layer beside its output: tensors to be filled in, undefined = not wanted.
/// Q = number of selected queries: the rows' last ones, or all of them.
struct AttentionRecord {
  bool all_queries = false;
  at::Tensor per_head;                      ///< [Q, H, kHeadStatistics]
  at::Tensor per_layer;                     ///< [Q, kLayerStatistics]
  int64_t padded_slots = 0;                 ///< for the next two
  at::Tensor padded_head;                   ///< [Q, H, 2]
  at::Tensor padded_mean_abs_deviation;     ///< [Q]
  std::vector<at::Tensor>* maps = nullptr;  ///< gets each row's [H, T, S], post-softmax

  bool wants_statistics() const { return per_head.defined(); }
};

/// The plain form, in ATen operations, for every device and dtype; the oracle of faster ones.
/// Scores, softmax, statistics and the weighted sum are float32; the result has q's dtype.
/// @return [N, H, D]
at::Tensor attention_reference(const AttentionInput& input, const AttentionRecord& record);

}  // namespace surprisal
