#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

#include "models/config.h"
#include "models/cpu/packed_linear.h"
#include "models/cpu/thread_team.h"
#include "models/cpu/weight_arena.h"
#include "models/llama_weights.h"

namespace surprisal {

/// A Llama's weights in the form the CPU kernels read, layer after layer in one mapping. The
/// products keep the dtype they were stored in (bfloat16 in 12 bits, which loses nothing, where the
/// CPU path and the weights allow it), or are rounded to int8; norms are float32.
class PackedLlama {
 public:
  struct Layer {
    const float *input_norm, *post_attention_norm;  ///< [E], padded with zeros
    PackedLinear q, k, v, o;
    std::pair<PackedLinear, PackedLinear> gate_and_up;
    PackedLinear down;
  };

  /// Copies the weights and gives back each tensor, and the pages of the file behind it, a slice at
  /// a time as it is copied, so that the model is in memory once. (Weights that are no file's are
  /// there twice for a matrix or two, until it is known that they fit their form.)
  /// @param int8  round the products' weights
  PackedLlama(const ModelConfig& config, LlamaWeights weights, bool int8, CpuPath path,
              ThreadTeam& team);

  /// Bytes of the products' weights, as stored or in int8: what a pass of few rows reads, or would
  /// if they were not compact.
  static int64_t weight_bytes(const LlamaWeights& weights, bool int8);

  const Layer& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  const float* final_norm() const { return final_norm_; }
  const PackedLinear& head() const { return *head_; }
  /// The embedding of a token, widened.  @param to  [E]
  void embed(int64_t token, float* to) const;

 private:
  WeightArena arena_;
  std::vector<Layer> layers_;
  const float* final_norm_ = nullptr;
  std::optional<PackedLinear> head_;
  at::Tensor embedding_;  ///< [V, E] as stored; undefined when it is the head's weight
};

}  // namespace surprisal
