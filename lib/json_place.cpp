#include "lib/json_place.h"

namespace surprisal {

using nlohmann::json;

JsonPlace JsonPlace::at(std::string_view key) const {
  const auto& members = object();
  const auto found = members.find(std::string(key));
  if (found == members.end())
    throw error(ErrorCode::kFormat, "expected a member '" + std::string(key) + "'");
  return {found->second, where_ + (where_.ends_with(':') ? " " : ".") + std::string(key)};
}

std::optional<JsonPlace> JsonPlace::find(std::string_view key) const {
  const auto& members = object();
  const auto found = members.find(std::string(key));
  if (found == members.end() || found->second.is_null()) return std::nullopt;
  return at(key);
}

JsonPlace JsonPlace::element(size_t index) const {
  return {(*value_)[index], where_ + "[" + std::to_string(index) + "]"};
}

size_t JsonPlace::array_size() const {
  if (!value_->is_array()) throw expected("an array");
  return value_->size();
}

const json::object_t& JsonPlace::object() const {
  if (!value_->is_object()) throw expected("an object");
  return value_->get_ref<const json::object_t&>();
}

const std::string& JsonPlace::string() const {
  if (!value_->is_string()) throw expected("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonPlace::boolean() const {
  if (!value_->is_boolean()) throw expected("true or false");
  return value_->get<bool>();
}

int64_t JsonPlace::integer(int64_t lowest, int64_t highest) const {
  const bool fits = value_->is_number_unsigned()
                        ? highest >= 0 && value_->get<uint64_t>() <= static_cast<uint64_t>(highest)
                        : value_->is_number_integer() && value_->get<int64_t>() <= highest;
  if (!fits || value_->get<int64_t>() < lowest)
    throw expected("an integer from " + std::to_string(lowest) + " to " + std::to_string(highest));
  return value_->get<int64_t>();
}

bool JsonPlace::boolean_or(std::string_view key, bool otherwise) const {
  const auto member = find(key);
  return member ? member->boolean() : otherwise;
}

std::string JsonPlace::string_or(std::string_view key, std::string_view otherwise) const {
  const auto member = find(key);
  return member ? member->string() : std::string(otherwise);
}

Error JsonPlace::error(ErrorCode code, const std::string& message) const {
  return {code, where_ + (where_.ends_with(':') ? " " : ": ") + message};
}

std::string JsonPlace::excerpt() const {
  constexpr size_t kLongest = 200;
  const std::string text = value_->dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + "...";
}

Error JsonPlace::expected(std::string_view what) const {
  return error(ErrorCode::kFormat, "expected " + std::string(what) + ", found " + excerpt());
}

}  // namespace surprisal
