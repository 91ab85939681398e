#include "models/batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <unordered_set>

#include "lib/error.h"

namespace surprisal {
namespace {

[[noreturn]] void fail(ErrorCode code, const std::string& message) {
  throw Error(code, message);
}

void check_tokens(const ModelRow& row, int64_t first, const ModelConfig& config) {
  if (row.tokens.empty()) fail(ErrorCode::kInternal, "a row of a forward pass has no tokens");
  const int64_t end = first + static_cast<int64_t>(row.tokens.size());
  if (end > config.context_length())
    fail(ErrorCode::kConfig, "a sequence of " + std::to_string(end) +
                                 " tokens is longer than the model's context of " +
                                 std::to_string(config.context_length()) +
                                 "; shorten the prompt or lower max_new_tokens");
  for (size_t i = 0; i < row.tokens.size(); ++i)
    if (row.tokens[i] < 0 || row.tokens[i] >= config.vocab_size)
      fail(ErrorCode::kConfig, "token id " + std::to_string(row.tokens[i]) + " at position " +
                                   std::to_string(first + static_cast<int64_t>(i)) +
                                   " is outside the model's vocabulary of " +
                                   std::to_string(config.vocab_size));
}

}  // namespace

Batch make_batch(std::span<const ModelRow> rows, KVCache& cache, const ForwardRequest& request,
                 const ModelConfig& config) {
  Batch batch;
  std::unordered_set<KVCache::SequenceId> seen;
  for (size_t r = 0; r < rows.size(); ++r) {
    const ModelRow& row = rows[r];
    const int64_t first = cache.length(row.sequence);
    const auto count = static_cast<int64_t>(row.tokens.size());
    const int64_t begin = batch.tokens();
    check_tokens(row, first, config);
    if (!seen.insert(row.sequence).second)
      fail(ErrorCode::kInternal, "two rows of a forward pass extend the same sequence");
    if (!cache.reserve(row.sequence, count))
      fail(ErrorCode::kInternal, "the key-value cache has no room for a forward pass");
    const std::span<const int64_t> blocks = cache.blocks(row.sequence);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = first + i;
      batch.token_ids.push_back(row.tokens[static_cast<size_t>(i)]);
      batch.block_numbers.push_back(blocks[static_cast<size_t>(position / KVCache::kBlockTokens)]);
      batch.offsets.push_back(position % KVCache::kBlockTokens);
      if (!request.all_queries && i + 1 < count) continue;
      batch.selected.push_back(begin + i);
      batch.row_of.push_back(static_cast<int64_t>(r));
      batch.position_of.push_back(position);
    }
    batch.rows.push_back({blocks, first, count, begin});
    const int64_t before_gap = std::clamp<int64_t>(row.gap_at - first, 0, count);
    if (before_gap > 0) batch.ranges.push_back({first, before_gap});
    if (before_gap < count) batch.ranges.push_back({first + before_gap + 1, count - before_gap});
  }
  return batch;
}

at::Tensor indices(const std::vector<int64_t>& values, at::Device device) {
  // A copy even on the CPU: the vector may be gone before the tensor.
  return at::tensor(values, at::kLong).to(device);
}

void advance(std::span<const ModelRow> rows, KVCache& cache) {
  for (const ModelRow& row : rows)
    cache.advance(row.sequence, static_cast<int64_t>(row.tokens.size()));
}

AttentionOutput make_attention_output(const ForwardRequest& request, const ModelConfig& config,
                                      const Batch& batch, at::Device device) {
  AttentionOutput output;
  const auto options = at::TensorOptions(at::kFloat).device(device);
  const int64_t queries = batch.queries();
  const int64_t layers = config.num_hidden_layers, heads = config.num_attention_heads;
  if (request.attention_statistics) {
    // One allocation, so that one copy brings all to the host, and few operations, whose code is
    // no longer in the caches at each step (they took 65 us of one sequence's 6 to 9 ms).
    const int64_t of_layer = heads * kHeadStatistics, of_heads = queries * layers * of_layer;
    const at::Tensor all = at::empty({of_heads + queries * layers * kLayerStatistics}, options);
    output.per_head = all.as_strided({queries, layers, heads, kHeadStatistics},
                                     {layers * of_layer, of_layer, kHeadStatistics, 1});
    output.per_layer = all.as_strided({queries, layers, kLayerStatistics},
                                      {layers * kLayerStatistics, kLayerStatistics, 1}, of_heads);
  }
  if (request.padded_slots > 0) {
    output.padded_head = at::empty({queries, heads, 2}, options);
    output.padded_mean_abs_deviation = at::empty({queries}, options);
  }
  for (const int64_t position : batch.position_of) output.valid_lengths.push_back(position + 1);
  output.maps.resize(request.map_layers.size());
  for (const int64_t layer : request.map_layers)
    if (layer < 0 || layer >= layers)
      fail(ErrorCode::kConfig, "attention maps of layer " + std::to_string(layer) +
                                   " were asked for; the model has layers 0 to " +
                                   std::to_string(layers - 1));
  return output;
}

AttentionRecord record_of_layer(int64_t layer, const ForwardRequest& request,
                                const ModelConfig& config, AttentionOutput& output) {
  AttentionRecord record;
  record.all_queries = request.all_queries;
  if (request.attention_statistics) {
    record.per_head = output.per_head.select(1, layer);
    record.per_layer = output.per_layer.select(1, layer);
  }
  if (request.padded_slots > 0 && layer + 1 == config.num_hidden_layers) {
    record.padded_slots = request.padded_slots;
    record.padded_head = output.padded_head;
    record.padded_mean_abs_deviation = output.padded_mean_abs_deviation;
  }
  for (size_t i = 0; i < request.map_layers.size(); ++i)
    if (request.map_layers[i] == layer) record.maps = &output.maps[i];
  return record;
}

void throw_bad_logits(const Batch& batch, int64_t q) {
  fail(ErrorCode::kNumeric,
       "the logits of row " + std::to_string(batch.row_of[static_cast<size_t>(q)]) +
           " at position " + std::to_string(batch.position_of[static_cast<size_t>(q)]) +
           " hold NaN or +inf; the weights may be damaged, or the numbers too large for the dtype "
           "(try float32; check_layers names the first layer)");
}

void throw_bad_layer(int64_t layer) {
  fail(ErrorCode::kNumeric, "NaN or infinity first appears after layer " + std::to_string(layer));
}

}  // namespace surprisal
