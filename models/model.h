#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/attention_statistics.h"
#include "lib/tokenizer.h"
#include "models/config.h"
#include "models/kv_cache.h"

namespace surprisal {

/// One ragged row of a forward pass: new tokens that follow what the cache holds of `sequence`.
struct ModelRow {
  KVCache::SequenceId sequence;
  std::span<const TokenId> tokens;  ///< >= 1
  /// Tokens from this place of the sequence on are rotated as if one place later.
  int64_t gap_at = std::numeric_limits<int64_t>::max();
};

/// What a forward pass must return beside writing the cache. "Selected queries" are the last token
/// of each row (Q = B), or with all_queries every token of every row in order (Q = sum of T).
struct ForwardRequest {
  bool logits = true;
  bool all_queries = false;
  bool attention_statistics = false;
  int64_t padded_slots = 0;  ///< > 0: also last-layer statistics as if padded to that many
  std::vector<int64_t> map_layers = {};  ///< layers whose attention maps are returned
  bool check_layers = false;             ///< look for NaN after every layer and name the first
};

/// Attention statistics of the selected queries, on the model's device, in one allocation.
struct AttentionOutput {
  at::Tensor per_head;                 ///< [Q, L, H, kHeadStatistics] float32
  at::Tensor per_layer;                ///< [Q, L, kLayerStatistics] float32
  std::vector<int64_t> valid_lengths;  ///< [Q] keys each query saw
  at::Tensor padded_head;  ///< [Q, H, 2] float32: entropy (nats), mean |score|; last layer
  at::Tensor padded_mean_abs_deviation;  ///< [Q] float32
  /// For each of map_layers and each row b: [H, T_b, S_b] float32, post-softmax, 0 where masked.
  std::vector<std::vector<at::Tensor>> maps;
};

struct StepOutput {
  at::Tensor logits;          ///< [Q, V] float32 on the model's device; undefined if not asked for
  AttentionOutput attention;  ///< empty if not asked for
};

/// A causal language model. Const and shareable between threads after loading; the caller owns the
/// cache. forward() runs without gradients.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  virtual at::Device device() const = 0;
  virtual at::ScalarType dtype() const = 0;
  /// Of the keys and values in the cache forward() takes.
  virtual at::ScalarType cache_dtype() const { return dtype(); }
  /// Bytes of the weights a decoding step multiplies by, in the dtype they are held in, for
  /// measurements. (A CPU may read fewer: cpu/compact_weights.h.)
  virtual int64_t weight_bytes() const = 0;

  /// Runs the rows' tokens, appends their keys and values to the cache (which must have room:
  /// KVCache::reserve), and returns what was asked for.
  /// @throws Error(kNumeric) on NaN or +inf in the logits, naming row and position;
  ///         Error(kConfig) on a token id outside the vocabulary
  virtual StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                             const ForwardRequest& request) const = 0;

  /// Calls work(i) once for each i of [0, count), in any order and at the same time, on the threads
  /// the model computes with: for what is to be done with a pass's rows before the next one. `work`
  /// must not call the model, nor LibTorch's own parallel operations.
  /// @throws what one of the calls threw; the others may or may not have been made
  virtual void parallel(int64_t count, const std::function<void(int64_t)>& work) const;
};

/// Where weights come from, for the manifest.
struct ModelProvenance {
  std::string path;
  std::string weights_sha256;  ///< of the safetensors files' hashes in name order
  std::string provenance;      ///< "dequantised from Q4_1", "" for weights as published
};

struct ModelOptions {
  std::string dtype = "auto";   ///< float32, bfloat16, float16, int8 (weights, on a CPU), auto
  std::string device = "auto";  ///< cpu, cuda, cuda:N, auto
  bool reference = false;       ///< the plain implementation on every device: the fast ones' oracle
};

/// Where and in which arithmetic load_model() will run a model; part of what identifies a cell, and
/// so known without loading it.
struct Placement {
  at::Device device;
  at::ScalarType dtype;
  /// For the manifest: "portable", "avx2", "avx512", "avx512_bf16", "amx" (models/cpu), or "aten"
  std::string kernels = "aten";
};

/// Resolves "auto". @throws Error(kConfig) on a device string that is none, Error(kUnsupported)
/// when the machine does not have the device
Placement choose_placement(const ModelConfig& config, const ModelOptions& options);

/// A model folder, loaded. @throws Error
std::unique_ptr<Model> load_model(const std::string& folder, const ModelOptions& options);

/// Weight hash and provenance note of a folder (surprisal_provenance.json), without loading it. The
/// hash is computed once and kept beside the file, keyed by size and modification time.
ModelProvenance model_provenance(const std::string& folder);

/// A new cache that fits the model and holds `tokens` tokens (rounded up to whole blocks, plus one
/// block per sequence of slack for `sequences` sequences).
KVCache make_cache(const Model& model, int64_t tokens, int64_t sequences);

}  // namespace surprisal
