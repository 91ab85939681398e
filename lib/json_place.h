#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "lib/error.h"

namespace surprisal {

/// A value inside a JSON file and its place there ("tokenizer.json: model.merges[3]"), so that
/// reading an untrusted file gives errors that say where. Borrows the value.
class JsonPlace {
 public:
  JsonPlace(const nlohmann::json& value, std::string where)
      : value_(&value), where_(std::move(where)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& where() const { return where_; }

  /// A member of an object. @throws Error(kFormat) when this is no object or lacks it
  JsonPlace at(std::string_view key) const;
  /// The same, or nothing when it is absent or null.
  std::optional<JsonPlace> find(std::string_view key) const;
  /// An element of an array. @pre index < array_size()
  JsonPlace element(size_t index) const;

  // What the value is, or Error(kFormat).
  size_t array_size() const;
  const nlohmann::json::object_t& object() const;
  const std::string& string() const;
  bool boolean() const;
  int64_t integer(int64_t lowest, int64_t highest) const;

  // A member, or `otherwise` when it is absent or null.
  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string string_or(std::string_view key, std::string_view otherwise) const;

  /// "PLACE: MESSAGE"
  Error error(ErrorCode code, const std::string& message) const;
  /// The value's own text, shortened, for messages.
  std::string excerpt() const;

 private:
  Error expected(std::string_view what) const;

  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace surprisal
