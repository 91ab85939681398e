#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/error.h"
#include "lib/json.h"

namespace surprisal {

/// What one parameter is: printed by `--list`, so that documentation cannot drift from the code.
struct ParamDoc {
  std::string name;
  std::string type;    ///< "number", "integer", "bool", "string", "list", "map"
  std::string unit;    ///< "nats", "tokens", ... or ""
  Json default_value;  ///< null when the parameter is required
  std::string description;
};

/// Bounds of a number, inclusive unless said.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_exclusive = false;
};

/// Reads one YAML map strictly. Each read names the parameter, its default, unit, bounds and
/// meaning in one place; the reader remembers what was read. Keys nobody read are an error with a
/// suggestion (finish()), and the values with every default filled in are what identifies a cell
/// (resolved()). On a describing reader every read yields its default: that is how `--list` works.
class ParamReader {
 public:
  /// @param node   a map (or null: all defaults)
  /// @param owner  what the map configures, e.g. "sampler 'greedy'"
  /// @param file   where it was read, for messages: "configs/a.yaml"
  ParamReader(YAML::Node node, std::string owner, std::string file);
  /// A reader without a map, for documentation.
  static ParamReader describing(std::string owner);

  double number(const std::string& name, std::optional<double> default_value, Range range,
                const std::string& unit, const std::string& description);
  int64_t integer(const std::string& name, std::optional<int64_t> default_value, Range range,
                  const std::string& unit, const std::string& description);
  bool boolean(const std::string& name, std::optional<bool> default_value,
               const std::string& description);
  std::string string(const std::string& name, std::optional<std::string> default_value,
                     const std::string& description);
  /// A string out of `choices`; a wrong one is refused with a suggestion.
  std::string choice(const std::string& name, std::optional<std::string> default_value,
                     const std::vector<std::string>& choices, const std::string& description);
  std::vector<double> numbers(const std::string& name, std::vector<double> default_value,
                              Range range, const std::string& unit, const std::string& description);
  std::vector<int64_t> integers(const std::string& name, std::vector<int64_t> default_value,
                                Range range, const std::string& unit,
                                const std::string& description);
  std::vector<std::string> strings(const std::string& name, std::vector<std::string> default_value,
                                   const std::string& description);

  bool has(const std::string& name) const;
  /// A nested map, read by `read` with its own reader; its resolved values are stored under `name`.
  /// Absent: read with defaults.
  void map(const std::string& name, const std::string& description,
           const std::function<void(ParamReader&)>& read);
  /// The raw node of a key whose shape is not a plain value (a chain's steps); the caller stores
  /// what it made of it with set_resolved(). Undefined node when absent.
  YAML::Node raw(const std::string& name, const std::string& type, const std::string& description);
  void set_resolved(const std::string& name, Json value);

  /// @throws Error(kUnknownName) naming the first key nobody read, with file:line and a suggestion
  void finish() const;

  /// Error(kConfig) at the place of `name` (or of the map): "file:line: owner: name: message".
  Error error(const std::string& name, const std::string& message) const;

  bool is_describing() const { return describing_; }
  const Json& resolved() const { return resolved_; }
  const std::vector<ParamDoc>& docs() const { return docs_; }
  const std::string& owner() const { return owner_; }
  const std::string& file() const { return file_; }

 private:
  std::string place(const std::string& name) const;
  YAML::Node take(const std::string& name, const std::string& type, const std::string& unit,
                  const Json& default_value, const std::string& description, bool required);

  YAML::Node node_;
  std::string owner_;
  std::string file_;
  bool describing_ = false;
  std::set<std::string> read_;
  Json resolved_ = Json::object();
  std::vector<ParamDoc> docs_;
};

/// Parses YAML from an untrusted source: one document, at most 1 MiB, no aliases or tags, no
/// duplicate keys, at most 64 levels deep. @throws Error(kConfig) with file:line
YAML::Node parse_yaml(const std::string& text, const std::string& file);
YAML::Node read_yaml_file(const std::string& path);

/// JSON as a YAML node (no line numbers), so that one strict reader serves both.
YAML::Node yaml_from_json(const Json& value);

}  // namespace surprisal
