#include "lib/json.h"

#include <cmath>
#include <string>
#include <unordered_set>
#include <vector>

#include "lib/error.h"
#include "lib/files.h"

namespace surprisal {
namespace {

/// Parses, and enforces what nlohmann's parser leaves open: size, depth and duplicate keys.
template <typename Value>
Value parse_strictly(std::string_view text, std::string_view where, const JsonLimits& limits) {
  if (text.size() > limits.bytes)
    throw Error(ErrorCode::kFormat, std::string(where) + ": JSON of " +
                                        std::to_string(text.size()) + " bytes; at most " +
                                        std::to_string(limits.bytes) + " are read");
  std::vector<std::unordered_set<std::string>> keys;  // of the objects being read
  const auto check = [&](int depth, typename Value::parse_event_t event, Value& parsed) {
    using Event = typename Value::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (static_cast<size_t>(depth) >= limits.depth)
        throw Error(ErrorCode::kFormat, std::string(where) + ": JSON nested deeper than " +
                                            std::to_string(limits.depth) + " levels");
      if (event == Event::object_start) keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.template get_ref<const std::string&>();
      if (!keys.back().insert(key).second)
        throw Error(ErrorCode::kFormat, std::string(where) + ": JSON key '" + key.substr(0, 200) +
                                            "' stands twice in one object");
    }
    return true;
  };
  try {
    return Value::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorCode::kFormat, std::string(where) + ": not valid JSON: " + error.what());
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view where, const JsonLimits& limits) {
  return parse_strictly<Json>(text, where, limits);
}

nlohmann::json parse_large_json(std::string_view text, std::string_view where,
                                const JsonLimits& limits) {
  return parse_strictly<nlohmann::json>(text, where, limits);
}

Json read_json_file(const std::string& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.bytes), path, limits);
}

std::string canonical_json(const Json& value) {
  // nlohmann::json (not ordered_json) keeps object keys sorted.
  const nlohmann::json sorted = nlohmann::json::parse(value.dump());
  return sorted.dump();
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

std::string dump_line(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace surprisal
