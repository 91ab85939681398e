#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace surprisal::jinja {

class Value;
using List = std::vector<Value>;
using Dict = std::vector<std::pair<std::string, Value>>;  // in insertion order

struct Undefined {};  ///< a name or member that does not exist
struct None {};

/// A value of a template. Lists and dictionaries are shared, as in Python; nothing changes them but
/// `set namespace.name`.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  Value(List value) : data_(std::make_shared<List>(std::move(value))) {}
  Value(Dict value) : data_(std::make_shared<Dict>(std::move(value))) {}

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  bool is_list() const { return is<std::shared_ptr<List>>(); }
  bool is_dict() const { return is<std::shared_ptr<Dict>>(); }

  // What the value is, or Error(kConfig): a template that mistakes one type for another.
  const std::string& text() const;
  int64_t integer() const;
  const List& list() const;
  Dict& dict() const;

  /// Python's truth: undefined, none, false, 0 and what is empty are false.
  bool truthy() const;
  /// A dictionary's member, undefined when it has none.
  Value member(std::string_view name) const;
  /// "undefined", "a string", ...: for messages.
  std::string_view kind() const;

  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<Undefined, None, bool, int64_t, std::string, std::shared_ptr<List>,
               std::shared_ptr<Dict>>
      data_;
};

/// As `{{ value }}` prints it. @throws Error(kUnsupported) for lists and dictionaries
std::string printed(const Value& value);

/// The elements that a `for` runs through: of a list, the keys of a dictionary, the characters of a
/// string, none of what is undefined. @throws Error(kConfig) for anything else
List elements(const Value& value);

}  // namespace surprisal::jinja
