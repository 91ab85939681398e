#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "models/attention.h"

namespace surprisal {

/// Attention for devices that a launch of an operation costs more than its arithmetic: rows of one
/// new token, which is what decoding consists of, are computed all together, their keys and values
/// gathered and padded to the longest. Other rows take attention_reference() one by one, but their
/// last queries' statistics are computed with those rows'. The same results as
/// attention_reference() but for the order of float32 sums.
class GatheredAttention {
 public:
  /// For one pass; its indices go to the device once, not for every layer.
  /// @param all_queries  as in AttentionRecord
  /// @param statistics   whether records will want attention's, layer after layer: then those of
  ///                     all rows' last queries are computed together
  /// @param kv_width     floats of one token's keys: limits what is gathered at a time
  GatheredAttention(std::span<const AttentionRow> rows, bool all_queries, bool statistics,
                    int64_t kv_width, at::Device device);

  /// What the record wants of the selected queries is there after write_statistics().
  /// @return [N, H, D]
  at::Tensor attend(const AttentionInput& input, const AttentionRecord& record);
  /// Those of all layers attended to since the last call, in hardly more operations than one's.
  void write_statistics();

 private:
  /// Which keys each row's query sees, [B, S] bool.
  struct Visible {
    at::Tensor keys, not_keys;
  };
  /// A layer's scores whose statistics are still to be written.
  struct Due {
    at::Tensor scores;               ///< [H, B, S]
    at::Tensor visible;              ///< [B, S]
    at::Tensor per_head, per_layer;  ///< as in AttentionRecord
  };
  /// B queries of as many rows, each row's last one; S places of the cache each.
  struct Group {
    std::vector<size_t> rows;
    at::Tensor queries;   ///< [B] int64: rows of q
    at::Tensor selected;  ///< [B] int64: among the selected queries
    at::Tensor blocks;    ///< [B * S / kBlockTokens] int64; beyond a row's own, any block
    at::Tensor lengths;   ///< [B, 1] int64: keys in use
    std::map<int64_t, Visible> visible = {};  ///< by window
    std::vector<Due> due = {};
  };
  const Visible& visible(Group& group, int64_t window) const;
  void attend_group(Group& group, const AttentionInput& input, const AttentionRecord& record,
                    std::span<at::Tensor> maps, at::Tensor& output);

  at::Device device_;
  bool last_with_others_;  ///< whether groups have the last queries of rows of several tokens, too
  int64_t due_scores_ = 0;
  std::vector<Group> groups_;
  std::vector<size_t> others_;     ///< rows of several new tokens
  std::vector<int64_t> selected_;  ///< each row's first selected query
};

}  // namespace surprisal
