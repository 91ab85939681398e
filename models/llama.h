#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/attention.h"
#include "models/batch.h"
#include "models/llama_weights.h"
#include "models/model.h"
#include "models/rope.h"

namespace surprisal {

/// A Llama-architecture model: RMSNorm, rotary positions, grouped-query attention, SwiGLU. Also
/// Mistral (sliding window) and Qwen2 (biases of q, k, v).
class Llama final : public Model {
 public:
  /// @throws Error(kIo, kFormat, kCheckpointMismatch)
  Llama(const std::string& folder, ModelConfig config, at::ScalarType dtype, at::Device device);

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return device_; }
  at::ScalarType dtype() const override { return dtype_; }
  int64_t weight_bytes() const override;
  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override;

 private:
  /// What a batch is to the tensor operations, on the device.
  struct Step;
  Step make_step(const Batch& batch, const ForwardRequest& request) const;
  at::Tensor attend(const at::Tensor& x, int64_t layer, Step& step, KVCache& cache,
                    const AttentionRecord& record) const;
  at::Tensor logits_of(const at::Tensor& hidden, const Step& step) const;

  ModelConfig config_;
  at::ScalarType dtype_;
  at::Device device_;
  RotaryEmbedding rotary_;
  LlamaWeights weights_;
};

}  // namespace surprisal
