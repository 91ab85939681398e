#include "lib/yaml.h"

#include <utf8proc.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>
#include <vector>

#include "lib/error.h"
#include "lib/files.h"

namespace surprisal {
namespace {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDepth = 64;

std::string place_of(const std::string& file, const YAML::Mark& mark) {
  return mark.line < 0 ? file : file + ":" + std::to_string(mark.line + 1);
}

/// Sees a document before any node of it is built, and refuses what parse_yaml() refuses.
class StrictHandler : public YAML::EventHandler {
 public:
  explicit StrictHandler(const std::string& file) : file_(file) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    value(mark, "null", true);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases (*name) are not accepted; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    check(mark, tag, anchor);
    value(mark, text, true);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, false);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, true);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  struct Collection {
    bool is_map;
    bool at_key = true;
    std::set<std::string> keys = {};
  };

  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& message) const {
    throw Error(ErrorCode::kConfig, place_of(file_, mark) + ": " + message);
  }

  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor != 0) fail(mark, "anchors (&name) are not accepted");
    // "?" stands for a plain value, "!" for a quoted one.
    if (!tag.empty() && tag != "?" && tag != "!")
      fail(mark, "tags are not accepted: '" + tag.substr(0, 100) + "'");
  }

  /// A value or a key has begun.
  void value(const YAML::Mark& mark, const std::string& text, bool is_scalar) {
    if (open_.empty() || !open_.back().is_map) return;
    Collection& map = open_.back();
    if (map.at_key) {
      if (!is_scalar) fail(mark, "a key must be a plain word");
      if (!map.keys.insert(text).second)
        fail(mark, "key '" + text.substr(0, 200) + "' stands twice in one map");
    }
    map.at_key = !map.at_key;
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, bool is_map) {
    check(mark, tag, anchor);
    value(mark, "", false);
    if (open_.size() >= kMaxDepth)
      fail(mark, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
    open_.push_back({is_map});
  }

  const std::string& file_;
  std::vector<Collection> open_;
};

void require_text(const std::string& text, const std::string& file) {
  if (text.size() > kMaxBytes)
    throw Error(ErrorCode::kConfig, file + ": " + std::to_string(text.size()) +
                                        " bytes of YAML; at most " + std::to_string(kMaxBytes) +
                                        " are read");
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t code_point = -1;
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (length <= 0 || code_point == 0)
      throw Error(ErrorCode::kConfig, file + ":" + std::to_string(line) +
                                          ": not UTF-8 text (byte " + std::to_string(at) + ")");
    line += code_point == '\n';
    at += static_cast<size_t>(length);
  }
}

}  // namespace

YAML::Node yaml_map_of(const YAML::Node& value, const std::string& key) {
  if (value.IsMap() || value.IsNull()) return value;
  YAML::Node map(YAML::NodeType::Map);
  map[key] = value;
  return map;
}

std::string yaml_place(const std::string& file, const YAML::Node& node) {
  return node.IsDefined() ? place_of(file, node.Mark()) : file;
}

YAML::Node parse_yaml(const std::string& text, const std::string& file) {
  require_text(text, file);
  try {
    std::istringstream input(text);
    YAML::Parser parser(input);
    StrictHandler handler(file);
    if (!parser.HandleNextDocument(handler)) return YAML::Node(YAML::NodeType::Null);
    StrictHandler second(file);
    if (parser.HandleNextDocument(second))
      throw Error(ErrorCode::kConfig, file + ": more than one YAML document (a line '---')");
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw Error(ErrorCode::kConfig, place_of(file, error.mark) + ": not valid YAML: " + error.msg);
  }
}

YAML::Node read_yaml_file(const std::string& path) {
  return parse_yaml(read_file(path, kMaxBytes), path);
}

YAML::Node yaml_from_json(const Json& value) {
  if (value.is_object()) {
    YAML::Node node(YAML::NodeType::Map);
    for (const auto& [key, child] : value.items()) node.force_insert(key, yaml_from_json(child));
    return node;
  }
  if (value.is_array()) {
    YAML::Node node(YAML::NodeType::Sequence);
    for (const Json& child : value) node.push_back(yaml_from_json(child));
    return node;
  }
  if (value.is_null()) return YAML::Node(YAML::NodeType::Null);
  if (!value.is_string()) return YAML::Node(value.dump());
  YAML::Node node(value.get<std::string>());
  node.SetTag("!");
  return node;
}

}  // namespace surprisal
