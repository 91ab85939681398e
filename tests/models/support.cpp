#include "tests/models/support.h"

#include <ATen/ATen.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "lib/files.h"
#include "lib/hdf5.h"
#include "lib/json.h"
#include "lib/safetensors.h"

namespace surprisal::test {

const std::vector<std::string>& fixture_names() {
  static const std::vector<std::string> names = {"llama", "llama_dynamic", "llama_v4", "mistral",
                                                 "qwen2"};
  return names;
}

std::string fixture_folder(const std::string& name) {
  return std::string(SURPRISAL_SOURCE_DIR) + "/tests/models/fixtures/" + name;
}

std::unique_ptr<Model> load_fixture(const std::string& name, const std::string& dtype) {
  return load_model(fixture_folder(name), {.dtype = dtype, .device = "cpu"});
}

std::vector<TokenId> fixture_tokens(size_t count) {
  std::vector<TokenId> ids = hdf5::File::open(fixture_folder("llama") + "/expected.h5")
                                 .dataset("/token_ids")
                                 .read<TokenId>();
  if (count > 0) ids.resize(count);
  return ids;
}

Session::Session(const Model& model, int64_t blocks)
    : model_(model), cache_(model.config(), blocks, model.cache_dtype(), model.device()) {}

StepOutput Session::step(const std::vector<Part>& parts, const ForwardRequest& request) {
  std::vector<ModelRow> rows;
  for (const Part& part : parts) rows.push_back({part.sequence, part.tokens, part.gap_at});
  return model_.forward(rows, cache_, request);
}

at::Tensor Session::logits(KVCache::SequenceId sequence, const std::vector<TokenId>& tokens,
                           size_t chunk) {
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < tokens.size();) {
    const size_t count = chunk == 0 ? tokens.size() : std::min(chunk, tokens.size() - begin);
    const auto first = tokens.begin() + static_cast<ptrdiff_t>(begin);
    parts.push_back(
        step({{sequence, {first, first + static_cast<ptrdiff_t>(count)}}}, {.all_queries = true})
            .logits);
    begin += count;
  }
  return at::cat(parts);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (a.sizes() != b.sizes()) return kInfinity;
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
  return std::isnan(difference) ? kInfinity : difference;
}

void copy_folder(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

std::map<std::string, RawTensor> read_raw(const std::string& path) {
  std::map<std::string, RawTensor> tensors;
  const SafetensorsFile file(path);
  for (const auto& [name, entry] : file.tensors()) {
    const auto bytes = file.bytes(entry);
    tensors[name] = {entry.dtype, entry.shape,
                     std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
  }
  return tensors;
}

void write_raw(const std::string& path, const std::map<std::string, RawTensor>& tensors,
               size_t padding) {
  Json header = Json::object();
  std::string buffer;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {buffer.size(), buffer.size() + tensor.bytes.size()}}};
    buffer += tensor.bytes;
  }
  const std::string text = header.dump() + std::string(padding, ' ');
  const uint64_t size = text.size();
  std::string length(8, '\0');
  std::memcpy(length.data(), &size, 8);
  std::ofstream(path, std::ios::binary) << length << text << buffer;
}

}  // namespace surprisal::test
