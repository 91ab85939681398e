#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/attention.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/rope.h"

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

/// A Llama-architecture model: RMSNorm, rotary positions, grouped-query attention, SwiGLU. Also
/// Mistral (sliding window) and Qwen2 (biases of q, k, v).
class Llama final : public Model {
 public:
  /// @throws Error(kIo, kFormat, kCheckpointMismatch)
  Llama(const std::string& folder, ModelConfig config, at::ScalarType dtype, at::Device device);

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return device_; }
  at::ScalarType dtype() const override { return dtype_; }
  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override;

 private:
  struct Batch;
  std::vector<ParameterSlot> parameters();
  Batch make_batch(std::span<const ModelRow> rows, KVCache& cache,
                   const ForwardRequest& request) const;
  at::Tensor attend(const at::Tensor& x, int64_t layer, const Batch& batch, KVCache& cache,
                    const AttentionRecord& record) const;
  at::Tensor logits_of(const at::Tensor& hidden, const Batch& batch) const;

  ModelConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  RotaryEmbedding rotary_;
  at::Tensor embed_tokens_;  ///< [V, E]
  std::vector<DecoderLayer> layers_;
  RmsNorm norm_;
  Linear lm_head_;  ///< shares embed_tokens_ when tied
};

}  // namespace surprisal
