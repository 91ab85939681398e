#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/error.h"
#include "lib/json.h"
#include "lib/yaml.h"

namespace surprisal {

/// What one parameter is: printed by `--list`, so that documentation cannot drift from the code.
struct ParamDoc {
  std::string name;
  std::string type;     ///< "number", "integer", "bool", "string", "list", "map"
  std::string unit;     ///< "nats", "tokens", ... or ""
  std::string allowed;  ///< "> 0, <= 1", "hf | llama", ... or "" for anything of the type
  bool required = false;
  Json default_value;  ///< null: none
  std::string description;
};

/// Bounds of a number, inclusive unless said.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_exclusive = false;
  bool max_exclusive = false;
};

/// Reads one YAML map strictly. Each read names the parameter, its default, unit, bounds and
/// meaning in one place; the reader remembers what was read. Keys nobody read are an error with a
/// suggestion (finish()), and the values with every default filled in are what identifies a cell
/// (resolved()). On a describing reader every read yields its default (or some allowed value where
/// there is none): that is how `--list` works.
///
/// A default of std::nullopt means that the parameter is required. Every read throws Error(kConfig)
/// with file:line on a value of the wrong type or out of bounds.
class ParamReader {
 public:
  /// @param node   a map (or null: all defaults)
  /// @param owner  what the map configures, e.g. "sampler 'greedy'"
  /// @param file   where it was read, for messages: "configs/a.yaml"
  /// @throws Error(kConfig) when it is neither
  ParamReader(YAML::Node node, std::string owner, std::string file);
  /// A reader without a map, for documentation.
  static ParamReader describing(std::string owner);

  double number(const std::string& name, std::optional<double> default_value, Range range,
                const std::string& unit, const std::string& description);
  int64_t integer(const std::string& name, std::optional<int64_t> default_value, Range range,
                  const std::string& unit, const std::string& description);
  /// A number that may be left out or null, which means that what it controls is off.
  std::optional<double> optional_number(const std::string& name, Range range,
                                        const std::string& unit, const std::string& description);
  std::optional<int64_t> optional_integer(const std::string& name, Range range,
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
  /// Whether a section that may be left out is there; null leaves it out.
  bool has_section(const std::string& name);
  /// A nested map, read by `read` with its own reader, which map() finishes; its resolved values
  /// are stored under `name`, its documentation under "name.key". Absent: read with defaults.
  /// @param main  the key that a plain value in place of the map stands for, or ""
  void map(const std::string& name, const std::string& description,
           const std::function<void(ParamReader&)>& read, const std::string& main = "");
  /// The raw node of a key whose shape is not a plain value (a chain's steps); the caller stores
  /// what it made of it with set_resolved(). Undefined node when absent.
  YAML::Node raw(const std::string& name, const std::string& type, const std::string& description);
  void set_resolved(const std::string& name, Json value);
  /// Documents what another reader read under `prefix`: "prefix.name".
  void append_docs(const std::string& prefix, const std::vector<ParamDoc>& docs);

  /// @throws Error(kUnknownName) naming the first key nobody read, with file:line and a suggestion
  void finish() const;

  /// "file:line: owner": the place of `name`, or of the map where it has no such key.
  std::string place(const std::string& name) const;
  /// Error(kConfig) at the place of `name`: "file:line: owner: name: message".
  Error error(const std::string& name, const std::string& message) const;

  bool is_describing() const { return describing_; }
  const Json& resolved() const { return resolved_; }
  const std::vector<ParamDoc>& docs() const { return docs_; }
  const std::string& owner() const { return owner_; }
  const std::string& file() const { return file_; }

 private:
  /// Records the parameter and finds its value: an undefined node where the default applies.
  /// @throws Error(kConfig) when it is required and absent
  YAML::Node take(ParamDoc doc);
  template <typename Value, typename Parse>
  Value scalar(ParamDoc doc, std::optional<Value> default_value, Value placeholder, Parse parse);
  template <typename Value, typename Parse>
  std::vector<Value> list(ParamDoc doc, std::vector<Value> default_value, Parse parse);

  YAML::Node node_;
  std::string owner_;
  std::string file_;
  bool describing_ = false;
  std::set<std::string> read_;
  Json resolved_ = Json::object();
  std::vector<ParamDoc> docs_;
};

}  // namespace surprisal
