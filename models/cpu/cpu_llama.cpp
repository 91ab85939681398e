#include "models/cpu/cpu_llama.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <utility>

namespace surprisal {

CpuLlama::CpuLlama(const std::string& folder, ModelConfig config, at::ScalarType dtype,
                   CpuPath path)
    : config_(std::move(config)),
      dtype_(dtype),
      path_(path),
      weights_(load_llama_weights(
          folder, config_, dtype == at::kFloat ? std::nullopt : std::optional(dtype), at::kCPU)) {}

void CpuLlama::prepare() const {
  const int threads = at::get_num_threads();
  if (team_ == nullptr || team_->size() != threads) {
    step_.reset();
    team_ = std::make_unique<ThreadTeam>(threads);
  }
  if (packed_ == nullptr) {
    packed_ = std::make_unique<PackedLlama>(config_, std::move(weights_), path_, *team_);
    weights_ = {};
  }
  if (step_ == nullptr) step_ = std::make_unique<CpuStep>(config_, *packed_, *team_, dtype_, path_);
}

StepOutput CpuLlama::forward(std::span<const ModelRow> rows, KVCache& cache,
                             const ForwardRequest& request) const {
  const c10::InferenceMode no_gradients;
  StepOutput output;
  if (rows.empty()) return output;
  const Batch batch = make_batch(rows, cache, request, config_);
  output.attention = make_attention_output(request, config_, batch, at::kCPU);
  if (request.logits) output.logits = at::empty({batch.queries(), config_.vocab_size}, at::kFloat);
  {
    const std::lock_guard lock(mutex_);
    prepare();
    step_->run(batch, cache, request, output);
  }
  advance(rows, cache);
  return output;
}

}  // namespace surprisal
