#include "lib/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <set>

#include "lib/error.h"
#include "lib/json.h"

namespace surprisal {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxAxes = 8;
constexpr JsonLimits kHeaderLimits{.bytes = kMaxHeaderBytes, .depth = 4};
constexpr JsonLimits kIndexLimits{.bytes = kMaxHeaderBytes, .depth = 4};
constexpr char kSingleFile[] = "model.safetensors";
constexpr char kIndexFile[] = "model.safetensors.index.json";

struct DtypeBits {
  std::string_view name;
  uint64_t bits;
};
constexpr std::array<DtypeBits, 22> kDtypes{{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};

class HeaderReader {
 public:
  explicit HeaderReader(std::string_view where) : where_(where) {}

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorCode::kFormat, std::string(where_) + ": not a valid safetensors file: " +
                                        message + "; fetch the file again");
  }

  SafetensorsEntry read_entry(const std::string& name, const nlohmann::json& value) const {
    if (!value.is_object()) fail("tensor '" + shown(name) + "' is not described by an object");
    for (const auto& [key, unused] : value.items())
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        fail("tensor '" + shown(name) + "' has an unknown key '" + shown(key) + "'");
    SafetensorsEntry entry;
    if (!value.contains("dtype") || !value["dtype"].is_string())
      fail("tensor '" + shown(name) + "' has no dtype");
    entry.dtype = value["dtype"].get<std::string>();
    uint64_t size = bits_of(entry.dtype, name);
    const std::vector<uint64_t> shape = integers(value, "shape", name);
    if (shape.size() > kMaxAxes)
      fail("tensor '" + shown(name) + "' has " + std::to_string(shape.size()) + " axes");
    for (const uint64_t extent : shape) {
      if (__builtin_mul_overflow(size, extent, &size) || extent > INT64_MAX)
        fail("the size of tensor '" + shown(name) + "' overflows");
      entry.shape.push_back(static_cast<int64_t>(extent));
    }
    if (size % 8 != 0) fail("tensor '" + shown(name) + "' is not a whole number of bytes");
    const std::vector<uint64_t> offsets = integers(value, "data_offsets", name);
    if (offsets.size() != 2 || offsets[0] > offsets[1])
      fail("tensor '" + shown(name) + "' has bad data_offsets");
    if (offsets[1] - offsets[0] != size / 8)
      fail("tensor '" + shown(name) + "' spans " + std::to_string(offsets[1] - offsets[0]) +
           " bytes; its shape and dtype need " + std::to_string(size / 8));
    entry.begin = offsets[0];
    entry.end = offsets[1];
    return entry;
  }

  /// The tensors, in order of offset, must tile [0, buffer) exactly.
  void check_tiling(const SafetensorsIndex& tensors, size_t buffer) const {
    std::vector<const SafetensorsIndex::value_type*> order;
    for (const auto& item : tensors) order.push_back(&item);
    std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
    });
    size_t expected = 0;
    for (const auto* item : order) {
      if (item->second.begin != expected)
        fail("tensor '" + shown(item->first) + "' starts at byte " +
             std::to_string(item->second.begin) + "; the one before ends at " +
             std::to_string(expected));
      expected = item->second.end;
    }
    if (expected != buffer)
      fail("the tensors need " + std::to_string(expected) + " bytes; the file holds " +
           std::to_string(buffer) + (buffer < expected ? " (cut short?)" : ""));
  }

 private:
  static std::string shown(const std::string& name) { return name.substr(0, 200); }

  uint64_t bits_of(const std::string& dtype, const std::string& name) const {
    for (const DtypeBits& known : kDtypes)
      if (known.name == dtype) return known.bits;
    fail("tensor '" + shown(name) + "' has the unknown dtype '" + shown(dtype) + "'");
  }

  std::vector<uint64_t> integers(const nlohmann::json& value, const char* key,
                                 const std::string& name) const {
    if (!value.contains(key) || !value[key].is_array())
      fail("tensor '" + shown(name) + "' has no list " + key);
    std::vector<uint64_t> result;
    for (const auto& number : value[key]) {
      if (!number.is_number_unsigned())
        fail("tensor '" + shown(name) + "' has a number in " + key + " that is no natural number");
      result.push_back(number.get<uint64_t>());
    }
    return result;
  }

  std::string_view where_;
};

}  // namespace

SafetensorsIndex parse_safetensors(std::span<const std::byte> file, std::string_view where) {
  const HeaderReader reader(where);
  if (file.size() < 8) reader.fail("only " + std::to_string(file.size()) + " bytes");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), 8);
  if (header_bytes > kMaxHeaderBytes)
    reader.fail("a header of " + std::to_string(header_bytes) + " bytes; at most " +
                std::to_string(kMaxHeaderBytes) + " are allowed");
  if (header_bytes > file.size() - 8)
    reader.fail("a header of " + std::to_string(header_bytes) + " bytes in a file of " +
                std::to_string(file.size()));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  if (!text.starts_with('{')) reader.fail("the header does not begin with '{'");
  const nlohmann::json header =
      parse_large_json(text, std::string(where) + " (header)", kHeaderLimits);

  const size_t start = 8 + header_bytes;
  SafetensorsIndex tensors;
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      tensors.emplace(name, reader.read_entry(name, value));
      continue;
    }
    if (!value.is_object()) reader.fail("__metadata__ is not an object");
    for (const auto& [key, text_value] : value.items())
      if (!text_value.is_string()) reader.fail("__metadata__ holds something else than text");
  }
  reader.check_tiling(tensors, file.size() - start);
  for (auto& [name, entry] : tensors) {
    entry.begin += start;
    entry.end += start;
  }
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : mapping_(MappedFile::open(path)), tensors_(parse_safetensors(mapping_->bytes(), path)) {}

namespace {

namespace fs = std::filesystem;

using WeightMap = std::map<std::string, std::string>;

/// Refuses shard names that lead out of the folder. The hub's cache links snapshots/REVISION/FILE
/// to blobs/HASH of the same repository, which is allowed.
void check_shard_name(const std::string& folder, const std::string& shard,
                      const std::string& index_path) {
  const auto refuse = [&](const char* why) {
    throw Error(ErrorCode::kFormat, index_path + ": shard '" + shard.substr(0, 200) + "' " + why);
  };
  if (shard.empty() || shard.find('/') != std::string::npos ||
      shard.find('\\') != std::string::npos || shard.find('\0') != std::string::npos ||
      shard == "." || shard == "..")
    refuse("is not a plain file name inside the model's folder");
  std::error_code error;
  const fs::path target = fs::canonical(fs::path(folder) / shard, error);
  if (error)
    throw Error(ErrorCode::kIo, index_path + ": shard '" + shard + "': " + error.message());
  const fs::path home = fs::canonical(folder);
  const fs::path blobs = home.parent_path().parent_path() / "blobs";
  if (target.parent_path() != home && target.parent_path() != blobs)
    refuse("is a link that leads out of the model's folder");
}

WeightMap read_weight_map(const std::string& folder) {
  const std::string path = folder + "/" + kIndexFile;
  const nlohmann::json index =
      parse_large_json(read_file(path, kIndexLimits.bytes), path, kIndexLimits);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw Error(ErrorCode::kFormat, path + ": expected an object with a 'weight_map'");
  WeightMap map;
  std::set<std::string> checked;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string())
      throw Error(ErrorCode::kFormat,
                  path + ": tensor '" + tensor.substr(0, 200) + "' is not mapped to a file name");
    const std::string name = shard.get<std::string>();
    if (checked.insert(name).second) check_shard_name(folder, name, path);
    map.emplace(tensor, name);
  }
  if (map.empty()) throw Error(ErrorCode::kFormat, path + ": the weight_map is empty");
  return map;
}

bool has_single_file(const std::string& folder) {
  if (fs::exists(folder + "/" + kSingleFile)) return true;
  if (fs::exists(folder + "/" + kIndexFile)) return false;
  throw Error(ErrorCode::kIo, folder + ": neither " + kSingleFile + " nor " + kIndexFile +
                                  " there; expected a Hugging Face model folder with safetensors "
                                  "weights");
}

std::vector<std::string> shard_paths(const std::string& folder, const WeightMap& map) {
  std::set<std::string> paths;
  for (const auto& [tensor, shard] : map) paths.insert(folder + "/" + shard);
  return {paths.begin(), paths.end()};
}

}  // namespace

std::vector<std::string> safetensors_files(const std::string& folder) {
  if (has_single_file(folder)) return {folder + "/" + kSingleFile};
  return shard_paths(folder, read_weight_map(folder));
}

std::vector<SafetensorsFile> open_safetensors_folder(const std::string& folder) {
  std::vector<SafetensorsFile> files;
  if (has_single_file(folder)) {
    files.emplace_back(folder + "/" + kSingleFile);
    return files;
  }
  const WeightMap map = read_weight_map(folder);
  size_t found = 0;
  std::string problems;
  for (const std::string& path : shard_paths(folder, map)) {
    const SafetensorsFile& file = files.emplace_back(path);
    const std::string shard = fs::path(path).filename().string();
    for (const auto& [tensor, entry] : file.tensors()) {
      const auto mapped = map.find(tensor);
      if (mapped != map.end() && mapped->second == shard)
        ++found;
      else
        problems += "\n  " + tensor + " is in " + shard + " but the index does not say so";
    }
  }
  if (found != map.size())
    for (const auto& entry : map)
      if (std::none_of(files.begin(), files.end(), [&](const SafetensorsFile& file) {
            return fs::path(file.path()).filename() == entry.second &&
                   file.tensors().contains(entry.first);
          }))
        problems +=
            "\n  " + entry.first + " is not in " + entry.second + " where the index puts it";
  if (!problems.empty())
    throw Error(ErrorCode::kFormat,
                folder + "/" + kIndexFile + ": index and shards disagree:" + problems);
  return files;
}

}  // namespace surprisal
