#include "models/checkpoint.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <map>
#include <memory>

#include "lib/error.h"
#include "lib/safetensors.h"

namespace surprisal {
namespace {

constexpr size_t kMaxListed = 100;

std::optional<at::ScalarType> scalar_type(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  return std::nullopt;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

/// A view of the mapped bytes that owns a share of the mapping.
at::Tensor mapped_tensor(const SafetensorsFile& file, const SafetensorsEntry& entry,
                         at::ScalarType dtype) {
  const std::span<const std::byte> bytes = file.bytes(entry);
  void* data = const_cast<std::byte*>(bytes.data());  // read-only pages: a write would fault
  const size_t width = c10::elementSize(dtype);
  if (reinterpret_cast<uintptr_t>(data) % width != 0) {
    // The format does not promise alignment, vector loads expect it.
    return at::from_blob(data, {static_cast<int64_t>(bytes.size())}, at::kByte)
        .clone()
        .view(dtype)
        .view(entry.shape);
  }
  return at::from_blob(
      data, entry.shape, [owner = file.mapping()](void*) {}, dtype);
}

struct Located {
  const SafetensorsFile* file = nullptr;
  const SafetensorsEntry* entry = nullptr;
};

class Problems {
 public:
  void add(const std::string& problem) { problems_.push_back(problem); }
  void throw_if_any(const std::string& folder) const {
    if (problems_.empty()) return;
    std::string message = folder + ": the checkpoint does not fit its config.json:";
    for (size_t i = 0; i < std::min(problems_.size(), kMaxListed); ++i)
      message += "\n  " + problems_[i];
    if (problems_.size() > kMaxListed)
      message += "\n  and " + std::to_string(problems_.size() - kMaxListed) + " more";
    throw Error(ErrorCode::kCheckpointMismatch, message);
  }

 private:
  std::vector<std::string> problems_;
};

}  // namespace

void load_checkpoint(const std::string& folder, const std::vector<ParameterSlot>& slots,
                     std::optional<at::ScalarType> dtype, at::Device device) {
  const std::vector<SafetensorsFile> files = open_safetensors_folder(folder);
  std::map<std::string, Located> tensors;
  for (const SafetensorsFile& file : files)
    for (const auto& [name, entry] : file.tensors())
      if (!name.ends_with("rotary_emb.inv_freq")) tensors[name] = {&file, &entry};

  Problems problems;
  std::vector<std::pair<const ParameterSlot*, Located>> matches;
  for (const ParameterSlot& slot : slots) {
    const auto found = tensors.find(slot.name);
    if (found == tensors.end()) {
      if (!slot.optional) problems.add("missing: " + slot.name + " " + shape_text(slot.shape));
      continue;
    }
    const Located located = found->second;
    tensors.erase(found);
    if (located.entry->shape != slot.shape)
      problems.add("wrong shape: " + slot.name + ": expected " + shape_text(slot.shape) +
                   ", found " + shape_text(located.entry->shape));
    else if (!scalar_type(located.entry->dtype))
      problems.add("wrong dtype: " + slot.name + ": expected F32, F16 or BF16, found " +
                   located.entry->dtype);
    else
      matches.emplace_back(&slot, located);
  }
  for (const auto& [name, located] : tensors)
    problems.add("extra: " + name.substr(0, 200) + " " + shape_text(located.entry->shape));
  problems.throw_if_any(folder);

  for (const auto& [slot, located] : matches) {
    const at::ScalarType stored = *scalar_type(located.entry->dtype);
    *slot->tensor =
        mapped_tensor(*located.file, *located.entry, stored).to(device, dtype.value_or(stored));
  }
}

}  // namespace surprisal
