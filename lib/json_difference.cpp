#include "lib/json_difference.h"

#include <set>
#include <vector>

namespace surprisal {
namespace {

constexpr size_t kMaxDifferences = 20;
constexpr size_t kMaxValueBytes = 100;

void collect_differences(const Json& before, const Json& after, const std::string& key,
                         std::vector<std::string>& lines) {
  if (before == after) return;
  const bool objects = before.is_object() && after.is_object();
  const bool lists = before.is_array() && after.is_array() && before.size() == after.size();
  if (objects || lists) {
    std::set<std::string> keys;
    for (const auto* side : {&before, &after})
      for (const auto& [name, value] : side->items()) keys.insert(name);
    for (const std::string& name : keys) {
      const auto child = [&](const Json& parent) -> Json {
        if (parent.is_array()) return parent.at(std::stoul(name));
        return parent.contains(name) ? parent.at(name) : Json(nullptr);
      };
      collect_differences(child(before), child(after), key.empty() ? name : key + "." + name,
                          lines);
    }
    return;
  }
  const auto text = [](const Json& value) {
    const std::string dumped = dump_line(value);
    return dumped.size() <= kMaxValueBytes ? dumped : dumped.substr(0, kMaxValueBytes) + "...";
  };
  lines.push_back("  " + key + ": " + text(before) + " -> " + text(after));
}

}  // namespace

std::string json_difference(const Json& before, const Json& after) {
  std::vector<std::string> lines;
  collect_differences(before, after, "", lines);
  std::string text;
  for (size_t i = 0; i < lines.size() && i < kMaxDifferences; ++i)
    text += (i ? "\n" : "") + lines[i];
  if (lines.size() > kMaxDifferences)
    text += "\n  and " + std::to_string(lines.size() - kMaxDifferences) + " more";
  return text;
}

}  // namespace surprisal
