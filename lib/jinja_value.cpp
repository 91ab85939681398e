#include "lib/jinja_value.h"

#include <algorithm>

#include "lib/error.h"
#include "lib/unicode.h"

namespace surprisal::jinja {
namespace {

Error wrong_type(std::string_view expected, const Value& found) {
  return {ErrorCode::kConfig,
          "expected " + std::string(expected) + ", found " + std::string(found.kind())};
}

}  // namespace

Value::Value(List value) {
  for (const Value& element : value) contain(element);
  data_ = std::make_shared<List>(std::move(value));
}

Value::Value(Dict value) {
  for (const auto& [name, member] : value) contain(member);
  data_ = std::make_shared<Dict>(std::move(value));
}

void Value::contain(const Value& element) {
  if (element.is_namespace())
    throw Error(ErrorCode::kUnsupported, "a namespace inside of another value");
  nesting_ = std::max(nesting_, element.nesting_ + 1);
  nodes_ += element.nodes_;
  if (nesting_ > kMaxNesting || nodes_ > kMaxNodes)
    throw Error(ErrorCode::kUnsupported, "a value nested too deeply or too large");
}

const std::string& Value::text() const {
  if (const auto* text = std::get_if<std::string>(&data_)) return *text;
  throw wrong_type("a string", *this);
}

int64_t Value::integer() const {
  if (const auto* number = std::get_if<int64_t>(&data_)) return *number;
  if (const auto* flag = std::get_if<bool>(&data_)) return *flag ? 1 : 0;
  throw wrong_type("an integer", *this);
}

const List& Value::list() const {
  if (const auto* list = std::get_if<std::shared_ptr<List>>(&data_)) return **list;
  throw wrong_type("a list", *this);
}

const Dict& Value::dict() const {
  if (is_namespace()) return name_space().members;
  if (const auto* dict = std::get_if<std::shared_ptr<Dict>>(&data_)) return **dict;
  throw wrong_type("a dictionary", *this);
}

Namespace& Value::name_space() const {
  if (const auto* found = std::get_if<std::shared_ptr<Namespace>>(&data_)) return **found;
  throw wrong_type("a namespace", *this);
}

bool Value::truthy() const {
  if (is_namespace()) return true;
  if (is<Undefined>() || is<None>()) return false;
  if (is<bool>() || is<int64_t>()) return integer() != 0;
  if (is<std::string>()) return !text().empty();
  return is_list() ? !list().empty() : !dict().empty();
}

Value Value::member(std::string_view name) const {
  const auto found = std::ranges::find(dict(), name, &Dict::value_type::first);
  return found == dict().end() ? Value() : found->second;
}

std::string_view Value::kind() const {
  constexpr std::string_view kNames[] = {"something undefined", "none",       "a truth value",
                                         "an integer",          "a string",   "a list",
                                         "a dictionary",        "a namespace"};
  return kNames[data_.index()];
}

bool operator==(const Value& a, const Value& b) {
  const auto numeric = [](const Value& v) { return v.is<bool>() || v.is<int64_t>(); };
  if (numeric(a) && numeric(b)) return a.integer() == b.integer();  // True == 1
  if (a.data_.index() != b.data_.index()) return false;
  if (a.is<std::string>()) return a.text() == b.text();
  if (a.is_list()) return a.list() == b.list();
  if (a.is_namespace()) return &a.name_space() == &b.name_space();
  if (!a.is_dict()) return true;
  const Dict &left = a.dict(), &right = b.dict();
  return left.size() == right.size() && std::ranges::all_of(left, [&](const auto& entry) {
           const auto found = std::ranges::find(right, entry.first, &Dict::value_type::first);
           return found != right.end() && found->second == entry.second;
         });
}

std::string printed(const Value& value) {
  if (value.is<Undefined>()) return "";
  if (value.is<None>()) return "None";
  if (value.is<bool>()) return value.truthy() ? "True" : "False";
  if (value.is<int64_t>()) return std::to_string(value.integer());
  if (value.is<std::string>()) return value.text();
  throw Error(ErrorCode::kUnsupported, "printing " + std::string(value.kind()));
}

void append_text(std::string& text, std::string_view more) {
  if (text.size() + more.size() > kMaxTextBytes)
    throw Error(ErrorCode::kUnsupported, "the template makes a text of more than " +
                                             std::to_string(kMaxTextBytes) + " bytes");
  text += more;
}

List elements(const Value& value) {
  if (value.is<Undefined>()) return {};
  if (value.is_list()) return value.list();
  List out;
  if (value.is_dict()) {
    for (const auto& [name, member] : value.dict()) out.emplace_back(name);
    return out;
  }
  for (std::string_view rest = value.text(); !rest.empty();) {
    const size_t length = next_utf8(rest).length;
    if (out.size() == kMaxElements)
      throw Error(ErrorCode::kUnsupported,
                  "a list of more than " + std::to_string(kMaxElements) + " characters");
    out.emplace_back(std::string(rest.substr(0, length)));
    rest.remove_prefix(length);
  }
  return out;
}

}  // namespace surprisal::jinja
