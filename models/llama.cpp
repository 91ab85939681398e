#include "models/llama.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <optional>
#include <utility>

#include "models/attention_gathered.h"

namespace surprisal {

struct Llama::Step {
  const Batch& batch;
  at::Tensor token_ids;                        ///< [N] int64
  at::Tensor block_numbers, offsets;           ///< [N] int64: where each token's key and value go
  RotaryEmbedding::Rotation rotation;          ///< [N, 1, D]
  std::optional<GatheredAttention> attention;  ///< none on a CPU: the plain form
};

namespace {

/// @param values  [N, ...];  @return index of the first row holding NaN or +inf, or -1
int64_t first_bad_row(const at::Tensor& values) {
  const at::Tensor top = values.flatten(1).amax(-1).to(at::kFloat);  // NaN wins in amax
  const at::Tensor bad = top.isnan().logical_or(top.isposinf()).to(at::kCPU);
  if (!bad.any().item<bool>()) return -1;
  return bad.to(at::kInt).argmax().item<int64_t>();
}

}  // namespace

Llama::Llama(const std::string& folder, ModelConfig config, at::ScalarType dtype, at::Device device)
    : config_(std::move(config)),
      dtype_(dtype),
      device_(device),
      rotary_(config_, device),
      weights_(load_llama_weights(folder, config_, dtype_, device_)) {}

Llama::Step Llama::make_step(const Batch& batch, const ForwardRequest& request) const {
  std::optional<GatheredAttention> attention;
  if (!device_.is_cpu())  // there the plain form serves, as the oracle of models/cpu
    attention.emplace(batch.rows, request.all_queries, request.attention_statistics,
                      config_.num_key_value_heads * config_.head_dim, device_);
  return {.batch = batch,
          .token_ids = indices(batch.token_ids, device_),
          .block_numbers = indices(batch.block_numbers, device_),
          .offsets = indices(batch.offsets, device_),
          .rotation = rotary_.at_positions(batch.ranges, dtype_),
          .attention = std::move(attention)};
}

at::Tensor Llama::attend(const at::Tensor& x, int64_t layer, Step& step, KVCache& cache,
                         const AttentionRecord& record) const {
  const SelfAttention& part = weights_.layers[static_cast<size_t>(layer)].self_attn;
  const int64_t tokens = x.size(0);
  const int64_t heads = config_.num_attention_heads, kv_heads = config_.num_key_value_heads;
  const at::Tensor turned =
      rotate(at::cat({part.q_proj(x), part.k_proj(x)}, -1).view({tokens, -1, config_.head_dim}),
             step.rotation);
  const at::Tensor q = turned.narrow(1, 0, heads), k = turned.narrow(1, heads, kv_heads);
  const at::Tensor v = part.v_proj(x).view({tokens, kv_heads, config_.head_dim});
  cache.put(layer, step.block_numbers, step.offsets, k, v);
  const AttentionInput input{.q = q,
                             .keys = cache.keys(layer),
                             .values = cache.values(layer),
                             .rows = step.batch.rows,
                             .window = config_.attention_windows[static_cast<size_t>(layer)],
                             .scale = 1 / std::sqrt(static_cast<double>(config_.head_dim))};
  const at::Tensor mixed =
      !step.attention ? attention_reference(input, record) : step.attention->attend(input, record);
  return part.o_proj(mixed.view({tokens, heads * config_.head_dim}));
}

at::Tensor Llama::logits_of(const at::Tensor& hidden, const Step& step) const {
  const Batch& batch = step.batch;
  const at::Tensor chosen = batch.queries() == batch.tokens()
                                ? hidden
                                : hidden.index_select(0, indices(batch.selected, device_));
  const at::Tensor logits =
      weights_.lm_head(weights_.norm(chosen, config_.rms_norm_eps)).to(at::kFloat);
  if (const int64_t bad = first_bad_row(logits); bad >= 0) throw_bad_logits(batch, bad);
  return logits;
}

StepOutput Llama::forward(std::span<const ModelRow> rows, KVCache& cache,
                          const ForwardRequest& request) const {
  const c10::InferenceMode no_gradients;
  StepOutput output;
  if (rows.empty()) return output;
  const Batch batch = make_batch(rows, cache, request, config_);
  Step step = make_step(batch, request);
  output.attention = make_attention_output(request, config_, batch, device_);
  at::Tensor hidden = weights_.embed_tokens.index_select(0, step.token_ids);  // [N, E]
  for (int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const DecoderLayer& layer = weights_.layers[static_cast<size_t>(i)];
    const AttentionRecord record = record_of_layer(i, request, config_, output.attention);
    hidden = hidden +
             attend(layer.input_layernorm(hidden, config_.rms_norm_eps), i, step, cache, record);
    hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden, config_.rms_norm_eps));
    if (request.check_layers && first_bad_row(hidden.abs()) >= 0) throw_bad_layer(i);
  }
  if (step.attention) step.attention->write_statistics();
  if (request.logits) output.logits = logits_of(hidden, step);
  advance(rows, cache);
  return output;
}

int64_t Llama::weight_bytes() const {
  int64_t bytes = 0;
  for (const Linear* part : products(weights_))
    bytes += static_cast<int64_t>(part->weight.nbytes());
  return bytes;
}

}  // namespace surprisal
