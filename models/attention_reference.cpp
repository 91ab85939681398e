#include <ATen/ATen.h>

#include "models/attention.h"
#include "models/kv_cache.h"
#include "models/score_statistics.h"

namespace surprisal {
namespace {

/// The row's keys or values in order of position.  @return [K, S, D] float32
at::Tensor gather(const at::Tensor& blocks, const at::Tensor& block_numbers, int64_t length,
                  int64_t dim) {
  const int64_t kv_heads = blocks.size(1);
  return blocks.index_select(0, block_numbers)
      .view({-1, kv_heads, KVCache::kBlockTokens, dim})
      .transpose(0, 1)
      .reshape({kv_heads, -1, dim})
      .narrow(1, 0, length)
      .to(at::kFloat);
}

/// Which keys each query sees.  @return [T, S] bool
at::Tensor visible_keys(const AttentionRow& row, int64_t window, at::Device device) {
  const int64_t length = row.first + row.count;
  const auto on_device = at::TensorOptions(at::kLong).device(device);
  const at::Tensor query = at::arange(row.first, length, on_device).unsqueeze(1);  // [T, 1]
  const at::Tensor key = at::arange(length, on_device).unsqueeze(0);               // [1, S]
  at::Tensor visible = key <= query;
  if (window > 0) visible = visible.logical_and(key > query - window);
  return visible;
}

/// Fills in the selected queries [selected, selected + count) of the record.
/// @param scores  [H, count, S];  @param visible  [count, S]
void record_statistics(const at::Tensor& scores, const at::Tensor& visible, int64_t selected,
                       const AttentionRecord& record) {
  const int64_t count = visible.size(0);
  if (record.wants_statistics())
    write_score_statistics(scores, visible, record.per_head.narrow(0, selected, count),
                           record.per_layer.narrow(0, selected, count));
  if (record.padded_head.defined())
    write_padded_statistics(scores, visible, record.padded_slots,
                            record.padded_head.narrow(0, selected, count),
                            record.padded_mean_abs_deviation.narrow(0, selected, count));
}

}  // namespace

at::Tensor attention_reference(const AttentionInput& input, const AttentionRecord& record) {
  const int64_t heads = input.q.size(1), dim = input.q.size(2);
  const int64_t kv_heads = input.keys.size(1), group = heads / kv_heads;
  const at::Device device = input.q.device();
  at::Tensor output = at::empty_like(input.q);
  int64_t selected = 0;  // queries recorded so far
  for (const AttentionRow& row : input.rows) {
    const int64_t length = row.first + row.count;
    const int64_t used = KVCache::blocks_for(length);
    const at::Tensor numbers =
        at::from_blob(const_cast<int64_t*>(row.blocks.data()), {used}, at::kLong).to(device);
    const at::Tensor k = gather(input.keys, numbers, length, dim);    // [K, S, D]
    const at::Tensor v = gather(input.values, numbers, length, dim);  // [K, S, D]
    const at::Tensor q = input.q.narrow(0, row.begin, row.count)
                             .to(at::kFloat)
                             .view({row.count, kv_heads, group, dim})
                             .permute({1, 2, 0, 3})
                             .reshape({kv_heads, group * row.count, dim});
    const at::Tensor visible = visible_keys(row, input.window, device);  // [T, S]
    const at::Tensor scores =
        (q.bmm(k.transpose(1, 2)) * input.scale).view({heads, row.count, length});  // [H, T, S]
    const at::Tensor weights =
        scores.masked_fill(visible.logical_not(), -std::numeric_limits<float>::infinity())
            .softmax(-1);  // [H, T, S]
    const at::Tensor sums =
        weights.view({kv_heads, group * row.count, length}).bmm(v);  // [K, G*T, D]
    output.narrow(0, row.begin, row.count)
        .copy_(sums.view({heads, row.count, dim}).transpose(0, 1));

    const int64_t first = record.all_queries ? 0 : row.count - 1;
    record_statistics(scores.slice(1, first), visible.slice(0, first), selected, record);
    selected += row.count - first;
    if (record.maps != nullptr) record.maps->push_back(weights);
  }
  return output;
}

}  // namespace surprisal
