#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "models/cpu/cpu_path.h"
#include "models/cpu/cpu_step.h"
#include "models/logits_buffers.h"
#include "models/llama_weights.h"
#include "models/model.h"

namespace surprisal {

/// Llama for the CPU, the fast counterpart of class Llama, which is its oracle. In float32
/// arithmetic, whatever 16-bit type the checkpoint is stored in; or in bfloat16: what products
/// read, and the cache, rounded to it, sums and all else in float32; or in int8: float32 but for
/// the weights of all products, rounded to 8 bits. Opening it reads no weights; the first forward
/// pass packs them. Concurrent passes, and parallel(), take turns with all threads.
class CpuLlama final : public Model {
 public:
  /// @throws Error(kIo, kFormat, kCheckpointMismatch)
  /// @param dtype  float32, bfloat16 or int8
  CpuLlama(const std::string& folder, ModelConfig config, at::ScalarType dtype = at::kFloat,
           CpuPath path = cpu_path());

  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return at::kCPU; }
  at::ScalarType dtype() const override { return dtype_; }
  at::ScalarType cache_dtype() const override { return arithmetic(); }
  int64_t weight_bytes() const override { return weight_bytes_; }
  /// Runs on as many threads as LibTorch is set to.
  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override;
  void parallel(int64_t count, const std::function<void(int64_t)>& work) const override;

 private:
  at::ScalarType arithmetic() const { return dtype_ == at::kChar ? at::kFloat : dtype_; }
  /// As large as LibTorch is set to now.
  ThreadTeam& team() const;
  /// Packs the weights at the first call, and follows the number of threads.
  void prepare() const;

  const ModelConfig config_;
  const at::ScalarType dtype_;
  const CpuPath path_;
  int64_t weight_bytes_ = 0;
  mutable std::mutex mutex_;      // guards what follows
  mutable LlamaWeights weights_;  // until they are packed
  mutable std::unique_ptr<ThreadTeam> team_;
  mutable std::unique_ptr<PackedLlama> packed_;
  mutable std::unique_ptr<CpuStep> step_;
  mutable LogitsBuffers logits_;
};

}  // namespace surprisal
