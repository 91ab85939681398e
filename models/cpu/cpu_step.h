#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "models/batch.h"
#include "models/cpu/float_buffer.h"
#include "models/cpu/packed_llama.h"
#include "models/cpu/product_rows.h"
#include "models/cpu/ragged_attention.h"
#include "models/cpu/thread_team.h"
#include "models/cpu/upcoming.h"
#include "models/cpu/vector_kernels.h"
#include "models/rope.h"

namespace surprisal {

/// Carries batches through a Llama on the CPU in float32, or with its products in bfloat16: one run
/// of the thread team for the whole network, in stages, on scratch that is allocated once. Every
/// operation treats a token by itself and in a fixed order, so the bits of its logits and
/// statistics depend neither on the other tokens of the batch, nor on prefill or decode, nor on the
/// number of threads.
class CpuStep {
 public:
  /// Borrows the first three.
  /// @param products  float32; or bfloat16, which the model's weights must then be
  CpuStep(const ModelConfig& config, const PackedLlama& model, ThreadTeam& team,
          at::ScalarType products, CpuPath path);

  /// Writes the batch's keys and values to the cache and fills in `output`.
  /// @throws Error(kNumeric)
  void run(const Batch& batch, const KVCache& cache, const ForwardRequest& request,
           StepOutput& output);

 private:
  /// Tokens [begin, end) of the batch that go through the network together, and their selected
  /// queries.
  struct Slab {
    const Batch& batch;
    int64_t begin, end;
    int64_t first_selected, last_selected;
    int64_t tokens() const { return end - begin; }
    int64_t queries() const { return last_selected - first_selected; }
  };
  Slab next_slab(const Batch& batch, int64_t begin, bool keep) const;
  void prepare_rotation(const Batch& batch);
  void embed(const Slab& slab, WorkShare share);
  void run_layer(int64_t layer, const Slab& slab, const KVCache& cache,
                 const ForwardRequest& request, const AttentionOutput& output, WorkShare share);
  void run_head(const Slab& slab, const at::Tensor& logits, WorkShare share);
  /// Rotates one token's queries and key of one key/value head, and writes key and value.
  /// @param piece  tokens of the slab, key/value heads innermost
  void place(int64_t layer, const Slab& slab, const KVCache& cache, int64_t piece, int rank);
  /// The wide part of a layer's MLP: silu(gate) * up, a piece of the outputs.
  void expand(const PackedLlama::Layer& layer, int64_t rows, PackedLinear::Input x, int64_t piece,
              int rank);
  /// Normalises rows for products to read, a stage; one alone every rank for itself, which takes
  /// less time than to wait for another.
  /// @param row  (i): where row i lies
  template <class Row>
  PackedLinear::Input normalise(int64_t rows, const Row& row, const float* weight, WorkShare share);
  void check(int64_t layer, const Slab& slab, WorkShare share);
  RaggedAttention::Layer attention_layer(int64_t layer, const KVCache& cache,
                                         const ForwardRequest& request,
                                         const AttentionOutput& output) const;

  const ModelConfig& config_;
  const PackedLlama& model_;
  ThreadTeam& team_;
  const CpuPath path_;
  const VectorKernels& vector_;
  const LinearKernels* const rounding_;  ///< null in float32
  RotaryEmbedding rotary_;
  RaggedAttention attention_;
  RowBuffer hidden_, q_, k_, v_;
  ProductRows normed_, mixed_, gate_;
  struct alignas(64) Scratch {
    explicit Scratch(ProductRows row_alone) : normed(std::move(row_alone)) {}
    ProductRows normed;             ///< a single row
    FloatBuffer row;                ///< values on their way into ProductRows
    std::vector<uint16_t> rounded;  ///< [head_dim]: keys and values on their way into the cache
    FloatBuffer gate, up;  ///< [tokens][kPieceOutputs]: one piece's outputs stay in a core's cache
    Upcoming upcoming;
  };
  std::vector<Scratch> scratch_;         ///< per rank
  RotaryEmbedding::Rotation table_;      ///< of positions 0, 1, 2, ...
  RotaryEmbedding::Rotation dynamic_;    ///< of a batch's tokens, where its lengths enter
  std::vector<const float*> cos_, sin_;  ///< per token of the batch: [D]
  std::atomic<int64_t> bad_query_, bad_layer_;
};

}  // namespace surprisal
