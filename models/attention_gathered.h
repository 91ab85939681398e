#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "models/attention.h"

namespace surprisal {

/// Attention for devices that a launch of an operation costs more than its arithmetic: rows of one
/// new token, which is what decoding consists of, are computed all together, their keys and values
/// gathered and padded to the longest. Other rows take attention_reference() one by one. The same
/// results as attention_reference() but for the order of float32 sums.
class GatheredAttention {
 public:
  /// For one pass; its indices go to the device once, not for every layer.
  /// @param all_queries  as in AttentionRecord
  /// @param kv_width     floats of one token's keys: limits what is gathered at a time
  GatheredAttention(std::span<const AttentionRow> rows, bool all_queries, int64_t kv_width,
                    at::Device device);

  /// @return [N, H, D]
  at::Tensor attend(const AttentionInput& input, const AttentionRecord& record) const;

 private:
  /// B rows of one new token, S places of the cache each.
  struct Group {
    std::vector<size_t> rows;
    at::Tensor queries;   ///< [B] int64: rows of q
    at::Tensor selected;  ///< [B] int64: among the selected queries
    at::Tensor blocks;    ///< [B * S / kBlockTokens] int64; beyond a row's own, any block
    at::Tensor lengths;   ///< [B, 1] int64: keys in use
  };
  void attend_group(const Group& group, const AttentionInput& input, const AttentionRecord& record,
                    std::span<at::Tensor> maps, at::Tensor& output) const;

  at::Device device_;
  std::vector<Group> groups_;
  std::vector<size_t> others_;     ///< rows of several new tokens
  std::vector<int64_t> selected_;  ///< each row's first selected query
};

}  // namespace surprisal
