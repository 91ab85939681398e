#include "models/llama_weights.h"

#include <ATen/ATen.h>

#include "models/checkpoint.h"

namespace surprisal {
namespace {

std::vector<ParameterSlot> slots_of(LlamaWeights& weights, const ModelConfig& config) {
  const int64_t embedding = config.hidden_size, inner = config.intermediate_size;
  const int64_t q_size = config.num_attention_heads * config.head_dim;
  const int64_t kv_size = config.num_key_value_heads * config.head_dim;
  std::vector<ParameterSlot> slots;
  const auto linear = [&](const std::string& name, Linear& part, int64_t out, int64_t in,
                          bool bias) {
    slots.push_back({name + ".weight", {out, in}, &part.weight});
    if (bias) slots.push_back({name + ".bias", {out}, &part.bias});
  };
  slots.push_back(
      {"model.embed_tokens.weight", {config.vocab_size, embedding}, &weights.embed_tokens});
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    DecoderLayer& layer = weights.layers[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attn = prefix + "self_attn.", mlp = prefix + "mlp.";
    const bool qkv_bias = config.attention_bias || config.qkv_bias;
    linear(attn + "q_proj", layer.self_attn.q_proj, q_size, embedding, qkv_bias);
    linear(attn + "k_proj", layer.self_attn.k_proj, kv_size, embedding, qkv_bias);
    linear(attn + "v_proj", layer.self_attn.v_proj, kv_size, embedding, qkv_bias);
    linear(attn + "o_proj", layer.self_attn.o_proj, embedding, q_size, config.attention_bias);
    linear(mlp + "gate_proj", layer.mlp.gate_proj, inner, embedding, config.mlp_bias);
    linear(mlp + "up_proj", layer.mlp.up_proj, inner, embedding, config.mlp_bias);
    linear(mlp + "down_proj", layer.mlp.down_proj, embedding, inner, config.mlp_bias);
    slots.push_back(
        {prefix + "input_layernorm.weight", {embedding}, &layer.input_layernorm.weight});
    slots.push_back({prefix + "post_attention_layernorm.weight",
                     {embedding},
                     &layer.post_attention_layernorm.weight});
  }
  slots.push_back({"model.norm.weight", {embedding}, &weights.norm.weight});
  // Tied models may store the head all the same; what is stored counts, as in transformers 5.
  slots.push_back({"lm_head.weight",
                   {config.vocab_size, embedding},
                   &weights.lm_head.weight,
                   config.tie_word_embeddings});
  return slots;
}

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return at::linear(x, weight, bias);
}

at::Tensor RmsNorm::operator()(const at::Tensor& x, double epsilon) const {
  return at::rms_norm(x, {x.size(-1)}, {}, epsilon) * weight;
}

at::Tensor Mlp::operator()(const at::Tensor& x) const {
  return down_proj(at::silu(gate_proj(x)) * up_proj(x));
}

LlamaWeights load_llama_weights(const std::string& folder, const ModelConfig& config,
                                std::optional<at::ScalarType> dtype, at::Device device) {
  LlamaWeights weights;
  weights.layers.resize(static_cast<size_t>(config.num_hidden_layers));
  load_checkpoint(folder, slots_of(weights, config), dtype, device);
  if (!weights.lm_head.weight.defined()) weights.lm_head.weight = weights.embed_tokens;
  return weights;
}

std::vector<const Linear*> products(const LlamaWeights& weights) {
  std::vector<const Linear*> parts;
  for (const auto& [input_norm, attention, post_norm, mlp] : weights.layers) {
    for (const Linear* part : {&attention.q_proj, &attention.k_proj, &attention.v_proj,
                               &attention.o_proj, &mlp.gate_proj, &mlp.up_proj, &mlp.down_proj})
      parts.push_back(part);
  }
  parts.push_back(&weights.lm_head);
  return parts;
}

}  // namespace surprisal
