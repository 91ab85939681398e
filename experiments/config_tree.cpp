#include "experiments/config_tree.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "lib/error.h"
#include "lib/params.h"

namespace surprisal {
namespace {

Error key_error(const std::string& key, const std::string& message) {
  return Error(ErrorCode::kConfig, "key '" + key.substr(0, 200) + "': " + message);
}

template <typename Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  if (status != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// The entry of a list that `component` means, as in set_by_key(). `whole` says whether the entry
/// itself is addressed (an index) or one of its keys.
YAML::Node list_entry(const YAML::Node& list, const std::string& component, const std::string& key,
                      bool* whole) {
  if (const auto index = parse_number<size_t>(component)) {
    if (*index >= list.size())
      throw key_error(
          key, "the list has " + std::to_string(list.size()) + " entries, no number " + component);
    *whole = true;
    return list[*index];
  }
  YAML::Node found(YAML::NodeType::Undefined);
  for (const YAML::Node& entry : list) {
    if (!entry.IsMap() || !entry[component].IsDefined()) continue;
    if (found.IsDefined())
      throw key_error(key, "several entries are called '" + component + "'; use an index");
    found.reset(entry);
  }
  if (!found.IsDefined())
    throw key_error(key, "no entry of the list is called '" + component + "'");
  *whole = false;
  return found;
}

void assign(YAML::Node map, const std::string& name, const YAML::Node& value,
            const std::string& key) {
  if (map[name].IsDefined() && map[name].IsMap() && !value.IsMap() && !value.IsNull())
    throw key_error(key, "'" + name + "' is a map; name the parameter in it");
  map[name] = value;
}

/// `rest` is what is left of `key` below `node`.
void set_below(YAML::Node node, const std::string& rest, const YAML::Node& value,
               const std::string& key, bool one_key) {
  const size_t dot = one_key ? std::string::npos : rest.find('.');
  const std::string component = rest.substr(0, dot);
  if (component.empty()) throw key_error(key, "has an empty part");
  const bool last = dot == std::string::npos;
  const std::string below = last ? "" : rest.substr(dot + 1);

  if (node.IsSequence()) {
    bool whole = false;
    YAML::Node entry = list_entry(node, component, key, &whole);
    if (!whole) return set_below(entry, rest, value, key, false);
    if (!last) return set_below(entry, below, value, key, false);
    node[*parse_number<size_t>(component)] = value;
    return;
  }
  if (!node.IsMap())
    throw key_error(key, "'" + component + "' stands below a plain value, which has no parts");
  if (last) return assign(node, component, value, key);
  if (!node[component].IsDefined() || node[component].IsNull())
    node[component] = YAML::Node(YAML::NodeType::Map);
  set_below(node[component], below, value, key, false);
}

}  // namespace

void set_by_key(const YAML::Node& root, const std::string& key, const YAML::Node& value) {
  const std::string kSweep = "sweep.";
  if (!key.starts_with(kSweep)) return set_below(root, key, value, key, false);
  YAML::Node map = root;
  if (!map["sweep"].IsDefined()) map["sweep"] = YAML::Node(YAML::NodeType::Map);
  set_below(map["sweep"], key.substr(kSweep.size()), value, key, true);
}

void apply_overrides(const YAML::Node& root, std::span<const std::string> overrides) {
  for (const std::string& override : overrides) {
    const size_t equals = override.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(ErrorCode::kUsage, "--set " + override + ": expected key=value");
    const std::string key = override.substr(0, equals);
    set_by_key(root, key, parse_yaml(override.substr(equals + 1), "--set " + key));
  }
}

YAML::Node load_config_tree(const std::string& path, std::span<const std::string> overrides) {
  if (!std::filesystem::exists(path))
    throw Error(ErrorCode::kUsage, path + ": there is no such experiment");
  YAML::Node root = read_yaml_file(path);
  if (!root.IsMap())
    throw Error(ErrorCode::kConfig, path + ": expected a map with name, model, task, samplers");
  apply_overrides(root, overrides);
  return root;
}

YAML::Node copy_tree(const YAML::Node& root) {
  return YAML::Clone(root);
}

Json json_from_yaml(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return nullptr;
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& entry : node) object[entry.first.Scalar()] = json_from_yaml(entry.second);
    return object;
  }
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const YAML::Node& item : node) array.push_back(json_from_yaml(item));
    return array;
  }
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (const auto integer = parse_number<int64_t>(text)) return *integer;
  const bool numeric = text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  if (const auto number = parse_number<double>(text); number && numeric) return *number;
  return text;
}

namespace {

void emit(YAML::Emitter& out, const Json& value) {
  if (value.is_object()) {
    if (value.empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, child] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, child);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    const bool flat = std::none_of(value.begin(), value.end(),
                                   [](const Json& item) { return item.is_structured(); });
    if (flat) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const Json& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    out << YAML::DoubleQuoted << value.get_ref<const std::string&>();
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << value.dump();
  }
}

}  // namespace

std::string yaml_text(const Json& value) {
  YAML::Emitter out;
  out.SetBoolFormat(YAML::TrueFalseBool);
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

}  // namespace surprisal
