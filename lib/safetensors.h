#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/files.h"

namespace surprisal {

/// One tensor of a safetensors file.
struct SafetensorsEntry {
  std::string dtype;  ///< as the format names it: F32, BF16, ...
  std::vector<int64_t> shape;
  size_t begin = 0, end = 0;  ///< bytes of the file
};

using SafetensorsIndex = std::map<std::string, SafetensorsEntry, std::less<>>;

/// Reads the header of a safetensors file and enforces every rule of the format's reference reader
/// (huggingface/safetensors@24b0b28 safetensors/src/tensor.rs): header length, JSON shape, known
/// dtypes, sizes without overflow, tensors that fill the buffer without holes or overlap, nothing
/// after them. Beyond those: duplicate keys, non-integer numbers and more than 8 axes are refused.
/// @param file   the whole file, untrusted
/// @param where  its name, for messages
/// @throws Error(kFormat)
SafetensorsIndex parse_safetensors(std::span<const std::byte> file, std::string_view where);

/// A mapped safetensors file. Immutable; tensors that view it share ownership of the mapping.
class SafetensorsFile {
 public:
  /// @throws Error(kIo, kFormat)
  explicit SafetensorsFile(const std::string& path);

  const SafetensorsIndex& tensors() const { return tensors_; }
  std::span<const std::byte> bytes(const SafetensorsEntry& entry) const {
    return mapping_->bytes().subspan(entry.begin, entry.end - entry.begin);
  }
  const std::shared_ptr<const MappedFile>& mapping() const { return mapping_; }
  const std::string& path() const { return mapping_->path(); }

 private:
  std::shared_ptr<const MappedFile> mapping_;
  SafetensorsIndex tensors_;
};

/// The weight files of a Hugging Face folder in name order: model.safetensors, or the shards that
/// model.safetensors.index.json names. A shard must be a plain file name whose file lies in the
/// folder (or, in the hub's cache, in the blobs folder beside its snapshots).
/// @throws Error(kIo, kFormat)
std::vector<std::string> safetensors_files(const std::string& folder);

/// Opens them all and checks that index and shards agree on where each tensor is.
/// @throws Error(kIo, kFormat)
std::vector<SafetensorsFile> open_safetensors_folder(const std::string& folder);

}  // namespace surprisal
