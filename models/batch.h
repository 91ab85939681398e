#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/attention.h"
#include "models/model.h"
#include "models/rope.h"

namespace surprisal {

/// A forward pass's rows laid end to end: N tokens in all, Q of them selected.
struct Batch {
  std::vector<int64_t> token_ids;               ///< [N]
  std::vector<int64_t> block_numbers, offsets;  ///< [N] where each token's key and value go
  std::vector<AttentionRow> rows;
  std::vector<RotaryEmbedding::Range> ranges;  ///< the rows' positions, gaps counted
  std::vector<int64_t> selected;               ///< [Q] token indices
  std::vector<int64_t> row_of;                 ///< [Q]
  std::vector<int64_t> position_of;            ///< [Q]

  int64_t tokens() const { return static_cast<int64_t>(token_ids.size()); }
  int64_t queries() const { return static_cast<int64_t>(selected.size()); }
};

/// Checks the rows and makes room for them in the cache.
/// @throws Error(kConfig) on a token outside the vocabulary or a sequence longer than the context
Batch make_batch(std::span<const ModelRow> rows, KVCache& cache, const ForwardRequest& request,
                 const ModelConfig& config);

/// Row numbers and the like, on the device; a copy even on the CPU.
at::Tensor indices(const std::vector<int64_t>& values, at::Device device);

/// For the end of a successful pass: the cache now holds the rows' tokens.
void advance(std::span<const ModelRow> rows, KVCache& cache);

/// Space for everything the request wants to know about attention.
/// @throws Error(kConfig) on a map of a layer that does not exist
AttentionOutput make_attention_output(const ForwardRequest& request, const ModelConfig& config,
                                      const Batch& batch, at::Device device);

/// The part of `output` that one layer fills in.
AttentionRecord record_of_layer(int64_t layer, const ForwardRequest& request,
                                const ModelConfig& config, AttentionOutput& output);

/// NaN or +inf in the logits of selected query q.
[[noreturn]] void throw_bad_logits(const Batch& batch, int64_t q);

/// What check_layers reports.
[[noreturn]] void throw_bad_layer(int64_t layer);

}  // namespace surprisal
