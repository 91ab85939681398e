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

/// What a hostile template may pile up: far more than any conversation needs.
constexpr size_t kMaxTextBytes = 64 << 20;
constexpr size_t kMaxElements = 1 << 20;  ///< of a list made from a text
constexpr uint64_t kMaxNodes = 10'000'000;
constexpr uint32_t kMaxNesting = 64;

struct Undefined {};  ///< a name or member that does not exist
struct None {};

struct Namespace;  ///< the one thing that changes, by `set namespace.name`

/// A value of a template. Lists and dictionaries are shared, as in Python, and never change, so
/// what they hold is known once. Namespaces stand in none of them: a value cannot contain itself.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None none) : data_(none) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  /// @throws Error(kUnsupported) when it is nested too deeply, too large or holds a namespace
  Value(List value);
  Value(Dict value);
  explicit Value(std::shared_ptr<Namespace> value) : data_(std::move(value)) {}

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  bool is_list() const { return is<std::shared_ptr<List>>(); }
  bool is_dict() const { return is<std::shared_ptr<Dict>>(); }
  bool is_namespace() const { return is<std::shared_ptr<Namespace>>(); }

  // What the value is, or Error(kConfig): a template that mistakes one type for another.
  const std::string& text() const;
  int64_t integer() const;
  const List& list() const;
  const Dict& dict() const;  ///< a namespace's members too
  Namespace& name_space() const;

  /// Python's truth: undefined, none, false, 0 and what is empty are false.
  bool truthy() const;
  /// A dictionary's member, undefined when it has none.
  Value member(std::string_view name) const;
  /// "undefined", "a string", ...: for messages.
  std::string_view kind() const;
  /// How many values comparing or copying this one may touch.
  uint64_t nodes() const { return nodes_; }

  friend bool operator==(const Value& a, const Value& b);

 private:
  void contain(const Value& element);

  std::variant<Undefined, None, bool, int64_t, std::string, std::shared_ptr<List>,
               std::shared_ptr<Dict>, std::shared_ptr<Namespace>>
      data_;
  uint32_t nesting_ = 0;
  uint64_t nodes_ = 1;
};

struct Namespace {
  Dict members;
};

/// Appends to a text. @throws Error(kUnsupported) when it grows beyond kMaxTextBytes
void append_text(std::string& text, std::string_view more);

/// As `{{ value }}` prints it. @throws Error(kUnsupported) for lists and dictionaries
std::string printed(const Value& value);

/// The elements that a `for` runs through: of a list, the keys of a dictionary, the characters of a
/// string, none of what is undefined. @throws Error(kConfig) for anything else, Error(kUnsupported)
/// for a string of too many
List elements(const Value& value);

}  // namespace surprisal::jinja
