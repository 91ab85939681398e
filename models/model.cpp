#include "models/model.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <filesystem>

#include "lib/error.h"
#include "models/cpu/cpu_llama.h"
#include "models/device.h"
#include "models/llama.h"

namespace surprisal {

void Model::parallel(int64_t count, const std::function<void(int64_t)>& work) const {
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) work(i);
  });
}

Placement choose_placement(const ModelConfig&, const ModelOptions& options) {
  const at::Device device = resolve_device(options.device);
  Placement placement{device, resolve_dtype(options.dtype, device)};
  if (device.is_cpu() && placement.dtype != at::kHalf && !options.reference)
    placement.kernels = cpu_path_name(cpu_path());
  if (placement.dtype == at::kChar && options.reference)
    throw Error(ErrorCode::kUnsupported,
                "dtype int8: the plain implementation has none; use float32 there");
  return placement;
}

std::unique_ptr<Model> load_model(const std::string& folder, const ModelOptions& options) {
  if (!std::filesystem::is_directory(folder))
    throw Error(ErrorCode::kIo, folder + ": no such folder; expected a Hugging Face model folder");
  ModelConfig config = load_model_config(folder);
  const Placement placement = choose_placement(config, options);
  const c10::InferenceMode no_gradients;
  if (placement.kernels != "aten")
    return std::make_unique<CpuLlama>(folder, std::move(config), placement.dtype);
  return std::make_unique<Llama>(folder, std::move(config), placement.dtype, placement.device);
}

KVCache make_cache(const Model& model, int64_t tokens, int64_t sequences) {
  return {model.config(), KVCache::blocks_for(tokens) + sequences, model.cache_dtype(),
          model.device()};
}

}  // namespace surprisal
