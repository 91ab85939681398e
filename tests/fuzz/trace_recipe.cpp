#include "tests/fuzz/trace_recipe.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/trace_export.h"
#include "experiments/trace_reader.h"
#include "lib/error.h"
#include "lib/hdf5.h"
#include "lib/json.h"

namespace surprisal::fuzz {
namespace {

/// A folder of this process, empty at first and gone with the object; in memory where there is such
/// a place, as what is exported is synced to the disk.
class Scratch {
 public:
  Scratch() {
    const std::filesystem::path memory = "/dev/shm";
    path_ =
        (std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path()) /
        ("surprisal_trace_recipe." + std::to_string(::getpid()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string file(const char* name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

constexpr hdf5::DatasetOptions kPlain{.extensible = false, .compressed = false};

Error no_recipe() {
  return {ErrorCode::kFormat, "not a recipe"};
}

template <typename T>
std::vector<T> values_of(const Json& list) {
  if (!list.is_array()) throw no_recipe();
  std::vector<T> values;
  for (const Json& value : list) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) throw no_recipe();
    } else {
      if (!value.is_number()) throw no_recipe();
    }
    values.push_back(value.get<T>());
  }
  return values;
}

void write_dataset(hdf5::File& file, const std::string& path, const Json& recipe) {
  const Json& values = recipe.is_object() && recipe.contains("values") ? recipe["values"] : recipe;
  const auto count = static_cast<int64_t>(values.size());
  if (recipe.is_object() && recipe.contains("enum")) {
    const auto names = values_of<std::string>(recipe["enum"]);
    const std::vector<std::string_view> views(names.begin(), names.end());
    file.create_dataset(path, hdf5::Type::enumeration(views), {count}, "", "", kPlain)
        .write(std::span<const uint8_t>(values_of<uint8_t>(values)));
  } else if (recipe.is_object() && recipe.contains("width")) {
    const Json& width = recipe["width"];
    if (!width.is_number_integer() || width < 1 || width > 100) throw no_recipe();
    const int64_t columns = width.get<int64_t>();
    file.create_dataset(path, hdf5::Type::float32(), {count / columns, columns}, "", "", kPlain)
        .write(std::span<const float>(values_of<float>(values)));
  } else if (count > 0 && values.is_array() && values[0].is_string()) {
    file.write_strings(path, values_of<std::string>(values), "", "");
  } else if (count > 0 && values.is_array() && values[0].is_number_float()) {
    file.create_dataset(path, hdf5::Type::float32(), {count}, "", "", kPlain)
        .write(std::span<const double>(values_of<double>(values)));
  } else {
    file.create_dataset(path, hdf5::Type::int64(), {count}, "", "", kPlain)
        .write(std::span<const int64_t>(values_of<int64_t>(values)));
  }
}

void write_attribute(hdf5::Attributes attributes, const std::string& name, const Json& value) {
  if (value.is_string()) {
    attributes.set(name, value.get<std::string>());
  } else if (value.is_boolean()) {
    attributes.set(name, value.get<bool>());
  } else if (value.is_number_integer()) {
    attributes.set(name, value.get<int64_t>());
  } else if (value.is_number()) {
    attributes.set(name, value.get<double>());
  } else {
    throw no_recipe();
  }
}

void write_trace(const std::string& path, const Json& recipe) {
  const auto part = [&](const char* name) -> const Json& {
    if (!recipe.is_object() || !recipe.contains(name) || !recipe[name].is_object())
      throw no_recipe();
    return recipe[name];
  };
  hdf5::File file = hdf5::File::create(path);
  for (const auto& [name, value] : part("attributes").items())
    write_attribute(file.attributes(), name, value);
  for (const char* table : kTraceTables) file.create_group(std::string("/") + table);
  for (const auto& [name, value] : part("datasets").items()) write_dataset(file, name, value);
  file.close();
}

}  // namespace

void read_trace_recipe(std::string_view input) {
  const Json recipe = parse_json(input, "recipe");
  const Scratch scratch;
  write_trace(scratch.file("traces.h5"), recipe);
  const TraceReader trace(scratch.file("traces.h5"));
  trace_signature(trace);
  for (const char* format : {"csv", "jsonl"}) export_trace(trace, format, scratch.path(), nullptr);
}

}  // namespace surprisal::fuzz
