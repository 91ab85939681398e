#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/json.h"

namespace surprisal {

/// Rotary position embedding, as transformers' modeling_rope_utils defines each type.
struct RopeConfig {
  enum class Type { kDefault, kLinear, kDynamic, kLlama3, kYarn };
  Type type = Type::kDefault;
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  int64_t original_max_position_embeddings = 0;      // llama3, yarn
  double beta_fast = 32, beta_slow = 1;              // yarn
  double attention_factor = 0;                       // yarn; 0 = derived from factor
  double mscale = 0, mscale_all_dim = 0;             // yarn
  bool truncate = true;                              // yarn
};

/// What config.json says of a Llama-architecture model (transformers v4 and v5 layouts).
struct ModelConfig {
  std::string model_type;  ///< llama, mistral, qwen2
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_hidden_layers = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  ///< q, k, v and o
  bool qkv_bias = false;        ///< q, k, v only (Qwen2)
  bool mlp_bias = false;
  std::string torch_dtype;  ///< dtype the weights were saved in, "" if unsaid
  RopeConfig rope;
  /// Per layer, how many of the newest keys a query sees, itself included; 0 = all of them.
  std::vector<int64_t> attention_windows;
  std::vector<int64_t> bos_token_ids;
  std::vector<int64_t> eos_token_ids;  ///< config.json and generation_config.json together
  /// Values the file leaves out and for which transformers' default was taken, one sentence each;
  /// programs show them and the manifest keeps them.
  std::vector<std::string> assumptions;

  /// Longest sequence the model serves: max_position_embeddings, stretched by the RoPE types that
  /// extend a trained length (linear, dynamic, yarn).
  int64_t context_length() const;
};

/// Reads config.json (and generation_config.json where present) of a Hugging Face folder.
/// @throws Error(kIo, kFormat, kUnsupported) naming the file and the key
ModelConfig load_model_config(const std::string& folder);
ModelConfig parse_model_config(const Json& config, const std::string& where);

}  // namespace surprisal
