#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace surprisal {

/// A tensor that the model's configuration asks for.
struct ParameterSlot {
  std::string name;  ///< the checkpoint's key
  std::vector<int64_t> shape;
  at::Tensor* tensor;     ///< where it goes
  bool optional = false;  ///< may be absent; the slot then stays undefined
};

/// Fills the slots from the safetensors of a Hugging Face folder. A tensor that is on the CPU and
/// already of `dtype` (or `dtype` is none) views the mapped file, and keeps the mapping alive,
/// unless it is misaligned; others are converted. `rotary_emb.inv_freq` of old files is ignored.
/// @throws Error(kCheckpointMismatch) listing every missing, extra, wrong-shape and wrong-dtype
///         tensor; Error(kIo, kFormat) for bad files
void load_checkpoint(const std::string& folder, const std::vector<ParameterSlot>& slots,
                     std::optional<at::ScalarType> dtype, at::Device device);

}  // namespace surprisal
