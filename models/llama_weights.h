#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "models/config.h"

namespace surprisal {

/// The parts of a Llama model. Members bear the names of the checkpoint's keys, so that loading
/// needs no table of names.
struct Linear {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined
  at::Tensor operator()(const at::Tensor& x) const;
};

/// Normalises in float32, casts back, then multiplies by the weight: the order decides parity in
/// 16-bit types (transformers modeling_llama.py).
struct RmsNorm {
  at::Tensor weight;  ///< [E]
  at::Tensor operator()(const at::Tensor& x, double epsilon) const;
};

struct SelfAttention {
  Linear q_proj, k_proj, v_proj, o_proj;
};

struct Mlp {
  Linear gate_proj, up_proj, down_proj;
  at::Tensor operator()(const at::Tensor& x) const;
};

struct DecoderLayer {
  RmsNorm input_layernorm;
  SelfAttention self_attn;
  RmsNorm post_attention_layernorm;
  Mlp mlp;
};

struct LlamaWeights {
  at::Tensor embed_tokens;  ///< [V, E]
  std::vector<DecoderLayer> layers;
  RmsNorm norm;
  Linear lm_head;  ///< its weight is embed_tokens when tied
};

/// Loads a Hugging Face folder.
/// @param dtype  what to convert to; none: every tensor stays as stored (and, on the CPU, a view of
///               the mapped file)
/// @throws Error(kIo, kFormat, kCheckpointMismatch)
LlamaWeights load_llama_weights(const std::string& folder, const ModelConfig& config,
                                std::optional<at::ScalarType> dtype, at::Device device);

/// Every matrix that enters a product.
std::vector<const Linear*> products(const LlamaWeights& weights);

}  // namespace surprisal
