#include <chrono>
#include <filesystem>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/json.h"
#include "lib/safetensors.h"
#include "lib/sha256.h"
#include "models/model.h"

namespace surprisal {
namespace {

constexpr char kHashFile[] = "surprisal_hashes.json";
constexpr char kProvenanceFile[] = "surprisal_provenance.json";
constexpr JsonLimits kLimits{.bytes = 1 << 20, .depth = 8};

/// What tells that a file has not changed since it was hashed.
std::string fingerprint(const std::string& path) {
  const auto time = std::filesystem::last_write_time(path).time_since_epoch();
  return std::to_string(std::filesystem::file_size(path)) + " bytes, modified " +
         std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

/// {"FILE": {"fingerprint": ..., "sha256": ...}}; empty where there is none or it is damaged, for
/// it can always be computed again.
Json read_hashes(const std::string& path) {
  try {
    Json hashes = read_json_file(path, kLimits);
    if (hashes.is_object()) return hashes;
  } catch (const Error&) {
  }
  return Json::object();
}

}  // namespace

ModelProvenance model_provenance(const std::string& folder) {
  ModelProvenance result;
  result.path = folder;
  const std::string cache_path = folder + "/" + kHashFile;
  const Json known = read_hashes(cache_path);
  Json hashes = Json::object();
  std::string all;
  for (const std::string& path : safetensors_files(folder)) {
    const std::string name = std::filesystem::path(path).filename().string();
    const std::string now = fingerprint(path);
    if (known.contains(name) && known[name].is_object() &&
        known[name].value("fingerprint", Json()) == now && known[name].contains("sha256") &&
        known[name]["sha256"].is_string())
      hashes[name] = known[name];
    else
      hashes[name] = {{"fingerprint", now}, {"sha256", sha256_file(path)}};
    all += hashes[name]["sha256"].get<std::string>();
  }
  result.weights_sha256 = sha256_hex(all);
  if (hashes != known) {
    try {
      write_file_atomically(cache_path, hashes.dump(2) + "\n");
    } catch (const Error&) {
      // A folder that may not be written is hashed anew each time.
    }
  }
  const std::string note = folder + "/" + kProvenanceFile;
  if (std::filesystem::exists(note)) {
    const Json json = read_json_file(note, kLimits);
    if (!json.is_object() || !json.contains("provenance") || !json["provenance"].is_string())
      throw Error(ErrorCode::kFormat, note + ": expected an object with the text 'provenance'");
    result.provenance = json["provenance"].get<std::string>();
  }
  return result;
}

}  // namespace surprisal
