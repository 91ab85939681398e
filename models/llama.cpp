#include "models/llama.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <unordered_set>
#include <utility>

#include "lib/error.h"
#include "models/attention_cpu.h"

namespace surprisal {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

at::Tensor RmsNorm::operator()(const at::Tensor& x, double epsilon) const {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor normal = wide * at::rsqrt(wide.square().mean(-1, true) + epsilon);
  return normal.to(x.scalar_type()) * weight;
}

at::Tensor Mlp::operator()(const at::Tensor& x) const {
  return down_proj(at::silu(gate_proj(x)) * up_proj(x));
}

/// A forward pass's rows laid end to end: N tokens in all, Q of them selected.
struct Llama::Batch {
  at::Tensor token_ids;                ///< [N] int64
  at::Tensor block_numbers, offsets;   ///< [N] int64: where each token's key and value go
  RotaryEmbedding::Rotation rotation;  ///< [N, 1, D]
  std::vector<AttentionRow> rows;
  std::vector<int64_t> selected;     ///< [Q] token indices
  std::vector<int64_t> row_of;       ///< [Q]
  std::vector<int64_t> position_of;  ///< [Q]
  bool all_selected = false;
};

namespace {

at::Tensor indices(const std::vector<int64_t>& values, at::Device device) {
  // A copy even on the CPU: the vector may be gone before the tensor.
  return at::tensor(values, at::kLong).to(device);
}

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

Llama::Llama(const std::string& folder, ModelConfig config, at::ScalarType dtype, at::Device device)
    : config_(std::move(config)),
      dtype_(dtype),
      device_(device),
      rotary_(config_, device),
      layers_(static_cast<size_t>(config_.num_hidden_layers)) {
  const std::vector<ParameterSlot> slots = parameters();
  load_checkpoint(folder, slots, dtype_, device_);
  if (!lm_head_.weight.defined()) lm_head_.weight = embed_tokens_;
}

std::vector<ParameterSlot> Llama::parameters() {
  const int64_t embedding = config_.hidden_size, inner = config_.intermediate_size;
  const int64_t q_size = config_.num_attention_heads * config_.head_dim;
  const int64_t kv_size = config_.num_key_value_heads * config_.head_dim;
  std::vector<ParameterSlot> slots;
  const auto linear = [&](const std::string& name, Linear& part, int64_t out, int64_t in,
                          bool bias) {
    slots.push_back({name + ".weight", {out, in}, &part.weight});
    if (bias) slots.push_back({name + ".bias", {out}, &part.bias});
  };
  slots.push_back({"model.embed_tokens.weight", {config_.vocab_size, embedding}, &embed_tokens_});
  for (size_t i = 0; i < layers_.size(); ++i) {
    DecoderLayer& layer = layers_[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attn = prefix + "self_attn.", mlp = prefix + "mlp.";
    const bool qkv_bias = config_.attention_bias || config_.qkv_bias;
    linear(attn + "q_proj", layer.self_attn.q_proj, q_size, embedding, qkv_bias);
    linear(attn + "k_proj", layer.self_attn.k_proj, kv_size, embedding, qkv_bias);
    linear(attn + "v_proj", layer.self_attn.v_proj, kv_size, embedding, qkv_bias);
    linear(attn + "o_proj", layer.self_attn.o_proj, embedding, q_size, config_.attention_bias);
    linear(mlp + "gate_proj", layer.mlp.gate_proj, inner, embedding, config_.mlp_bias);
    linear(mlp + "up_proj", layer.mlp.up_proj, inner, embedding, config_.mlp_bias);
    linear(mlp + "down_proj", layer.mlp.down_proj, embedding, inner, config_.mlp_bias);
    slots.push_back(
        {prefix + "input_layernorm.weight", {embedding}, &layer.input_layernorm.weight});
    slots.push_back({prefix + "post_attention_layernorm.weight",
                     {embedding},
                     &layer.post_attention_layernorm.weight});
  }
  slots.push_back({"model.norm.weight", {embedding}, &norm_.weight});
  // Tied models may store the head all the same; what is stored counts, as in transformers 5.
  slots.push_back({"lm_head.weight",
                   {config_.vocab_size, embedding},
                   &lm_head_.weight,
                   config_.tie_word_embeddings});
  return slots;
}

Llama::Batch Llama::make_batch(std::span<const ModelRow> rows, KVCache& cache,
                               const ForwardRequest& request) const {
  Batch batch;
  batch.all_selected = request.all_queries;
  std::vector<int64_t> token_ids, block_numbers, offsets;
  std::vector<RotaryEmbedding::Range> ranges;
  std::unordered_set<KVCache::SequenceId> seen;
  for (size_t r = 0; r < rows.size(); ++r) {
    const ModelRow& row = rows[r];
    const int64_t first = cache.length(row.sequence);
    const auto count = static_cast<int64_t>(row.tokens.size());
    const auto begin = static_cast<int64_t>(token_ids.size());
    check_tokens(row, first, config_);
    if (!seen.insert(row.sequence).second)
      fail(ErrorCode::kInternal, "two rows of a forward pass extend the same sequence");
    if (!cache.reserve(row.sequence, count))
      fail(ErrorCode::kInternal, "the key-value cache has no room for a forward pass");
    const std::span<const int64_t> blocks = cache.blocks(row.sequence);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t position = first + i;
      token_ids.push_back(row.tokens[static_cast<size_t>(i)]);
      block_numbers.push_back(blocks[static_cast<size_t>(position / KVCache::kBlockTokens)]);
      offsets.push_back(position % KVCache::kBlockTokens);
      if (!request.all_queries && i + 1 < count) continue;
      batch.selected.push_back(begin + i);
      batch.row_of.push_back(static_cast<int64_t>(r));
      batch.position_of.push_back(position);
    }
    batch.rows.push_back({blocks, first, count, begin});
    ranges.push_back({first, count});
  }
  batch.token_ids = indices(token_ids, device_);
  batch.block_numbers = indices(block_numbers, device_);
  batch.offsets = indices(offsets, device_);
  batch.rotation = rotary_.at_positions(ranges, dtype_);
  return batch;
}

at::Tensor Llama::attend(const at::Tensor& x, int64_t layer, const Batch& batch, KVCache& cache,
                         const AttentionRecord& record) const {
  const SelfAttention& part = layers_[static_cast<size_t>(layer)].self_attn;
  const int64_t tokens = x.size(0);
  const int64_t heads = config_.num_attention_heads, kv_heads = config_.num_key_value_heads;
  const at::Tensor q =
      rotate(part.q_proj(x).view({tokens, heads, config_.head_dim}), batch.rotation);
  const at::Tensor k =
      rotate(part.k_proj(x).view({tokens, kv_heads, config_.head_dim}), batch.rotation);
  const at::Tensor v = part.v_proj(x).view({tokens, kv_heads, config_.head_dim});
  const auto append = [&](const at::Tensor& blocks, const at::Tensor& entries) {
    blocks.transpose(1, 2).index_put_({batch.block_numbers, batch.offsets}, entries);
  };
  append(cache.keys(layer), k.to(cache.dtype()));
  append(cache.values(layer), v.to(cache.dtype()));
  const AttentionInput input{.q = q,
                             .keys = cache.keys(layer),
                             .values = cache.values(layer),
                             .rows = batch.rows,
                             .window = config_.attention_windows[static_cast<size_t>(layer)],
                             .scale = 1 / std::sqrt(static_cast<double>(config_.head_dim))};
  const at::Tensor mixed =
      device_.is_cpu() ? attention_cpu(input, record) : attention_reference(input, record);
  return part.o_proj(mixed.view({tokens, heads * config_.head_dim}));
}

namespace {

/// Space for everything the request wants to know about attention.
AttentionOutput make_attention_output(const ForwardRequest& request, const ModelConfig& config,
                                      const std::vector<int64_t>& positions, at::Device device) {
  AttentionOutput output;
  const auto options = at::TensorOptions(at::kFloat).device(device);
  const auto queries = static_cast<int64_t>(positions.size());
  const int64_t layers = config.num_hidden_layers, heads = config.num_attention_heads;
  if (request.attention_statistics) {
    const int64_t of_heads = queries * layers * heads * kHeadStatistics;
    const at::Tensor all =
        at::empty({of_heads + queries * layers * kLayerStatistics}, options);  // one allocation
    output.per_head = all.narrow(0, 0, of_heads).view({queries, layers, heads, kHeadStatistics});
    output.per_layer = all.slice(0, of_heads).view({queries, layers, kLayerStatistics});
  }
  if (request.padded_slots > 0) {
    output.padded_head = at::empty({queries, heads, 2}, options);
    output.padded_mean_abs_deviation = at::empty({queries}, options);
  }
  for (const int64_t position : positions) output.valid_lengths.push_back(position + 1);
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

/// @param values  [N, ...];  @return index of the first row holding NaN or +inf, or -1
int64_t first_bad_row(const at::Tensor& values) {
  const at::Tensor top = values.flatten(1).amax(-1).to(at::kFloat);  // NaN wins in amax
  const at::Tensor bad = top.isnan().logical_or(top.isposinf()).to(at::kCPU);
  if (!bad.any().item<bool>()) return -1;
  return bad.to(at::kInt).argmax().item<int64_t>();
}

}  // namespace

at::Tensor Llama::logits_of(const at::Tensor& hidden, const Batch& batch) const {
  const at::Tensor chosen =
      batch.all_selected ? hidden : hidden.index_select(0, indices(batch.selected, device_));
  const at::Tensor logits = lm_head_(norm_(chosen, config_.rms_norm_eps)).to(at::kFloat);
  if (const int64_t bad = first_bad_row(logits); bad >= 0) {
    const auto q = static_cast<size_t>(bad);
    fail(ErrorCode::kNumeric,
         "the logits of row " + std::to_string(batch.row_of[q]) + " at position " +
             std::to_string(batch.position_of[q]) +
             " hold NaN or +inf; the weights may be damaged, or the numbers too large for the "
             "dtype (try float32; check_layers names the first layer)");
  }
  return logits;
}

StepOutput Llama::forward(std::span<const ModelRow> rows, KVCache& cache,
                          const ForwardRequest& request) const {
  const c10::InferenceMode no_gradients;
  StepOutput output;
  if (rows.empty()) return output;
  const Batch batch = make_batch(rows, cache, request);
  output.attention = make_attention_output(request, config_, batch.position_of, device_);
  at::Tensor hidden = embed_tokens_.index_select(0, batch.token_ids);  // [N, E]
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const DecoderLayer& layer = layers_[static_cast<size_t>(i)];
    const AttentionRecord record = record_of_layer(i, request, config_, output.attention);
    hidden = hidden +
             attend(layer.input_layernorm(hidden, config_.rms_norm_eps), i, batch, cache, record);
    hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden, config_.rms_norm_eps));
    if (request.check_layers && first_bad_row(hidden.abs()) >= 0)
      fail(ErrorCode::kNumeric, "NaN or infinity first appears after layer " + std::to_string(i));
  }
  if (request.logits) output.logits = logits_of(hidden, batch);
  for (const ModelRow& row : rows)
    cache.advance(row.sequence, static_cast<int64_t>(row.tokens.size()));
  return output;
}

}  // namespace surprisal
