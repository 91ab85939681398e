#include "models/cpu/cpu_llama.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <exception>
#include <utility>

namespace surprisal {

CpuLlama::CpuLlama(const std::string& folder, ModelConfig config, at::ScalarType dtype,
                   CpuPath path)
    : config_(std::move(config)),
      dtype_(dtype),
      path_(path),
      weights_(load_llama_weights(folder, config_,
                                  dtype == at::kBFloat16 ? std::optional(dtype) : std::nullopt,
                                  at::kCPU)) {
  weight_bytes_ = PackedLlama::weight_bytes(weights_, dtype == at::kChar);
}

ThreadTeam& CpuLlama::team() const {
  const int threads = at::get_num_threads();
  if (team_ == nullptr || team_->size() != threads) {
    step_.reset();
    team_ = std::make_unique<ThreadTeam>(threads);
  }
  return *team_;
}

void CpuLlama::prepare() const {
  ThreadTeam& threads = team();
  if (packed_ == nullptr) {
    packed_ = std::make_unique<PackedLlama>(config_, std::move(weights_), dtype_ == at::kChar,
                                            path_, threads);
    weights_ = {};
  }
  if (step_ == nullptr) {
    step_ = std::make_unique<CpuStep>(config_, *packed_, threads, arithmetic(), path_);
  }
}

StepOutput CpuLlama::forward(std::span<const ModelRow> rows, KVCache& cache,
                             const ForwardRequest& request) const {
  const c10::InferenceMode no_gradients;
  StepOutput output;
  if (rows.empty()) return output;
  const Batch batch = make_batch(rows, cache, request, config_);
  output.attention = make_attention_output(request, config_, batch, at::kCPU);
  {
    const std::lock_guard lock(mutex_);
    if (request.logits) output.logits = logits_.take(batch.queries(), config_.vocab_size);
    prepare();
    step_->run(batch, cache, request, output);
  }
  advance(rows, cache);
  return output;
}

void CpuLlama::parallel(int64_t count, const std::function<void(int64_t)>& work) const {
  if (count == 1) return work(0);  // nothing to share
  const std::lock_guard lock(mutex_);
  std::exception_ptr failure;  // of the first call that failed
  int64_t first = count;
  std::mutex failed;
  team().run([&](WorkShare share) {
    team_->stage(share, count, [&](int64_t i) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard guard(failed);
        if (i >= first) return;
        first = i;
        failure = std::current_exception();
      }
    });
  });
  if (failure) std::rethrow_exception(failure);
}

}  // namespace surprisal
