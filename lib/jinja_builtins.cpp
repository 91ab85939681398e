#include <algorithm>

#include "lib/error.h"
#include "lib/jinja.h"
#include "lib/unicode.h"

namespace surprisal::jinja {
namespace {

/// What Python's str.strip() takes for whitespace.
bool is_python_space(char32_t c) {
  return is_space(c) || (c >= 0x1C && c <= 0x1F);
}

/// Whether a character is to be stripped: whitespace, or one of those given.
class Strippable {
 public:
  explicit Strippable(const List& arguments) {
    if (arguments.empty() || arguments[0].is<None>()) return;
    by_default_ = false;
    for (std::string_view rest = arguments[0].text(); !rest.empty();) {
      const Utf8Unit unit = next_utf8(rest);
      characters_.push_back(unit.code_point);
      rest.remove_prefix(unit.length);
    }
  }
  bool operator()(char32_t c) const {
    return by_default_ ? is_python_space(c) : characters_.find(c) != std::u32string::npos;
  }

 private:
  bool by_default_ = true;
  std::u32string characters_;
};

std::string strip(std::string_view text, const Strippable& strippable, bool left, bool right) {
  size_t begin = text.size(), end = 0;  // of what stays
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = next_utf8(text.substr(at));
    if (!strippable(unit.code_point)) {
      begin = std::min(begin, at);
      end = at + unit.length;
    }
    at += unit.length;
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : std::string();
}

/// Case of ASCII text; other letters would need Unicode's full case mappings.
std::string change_case(const std::string& text, bool upper, bool first_upper) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80)
      throw Error(ErrorCode::kUnsupported, "changing the case of letters beyond ASCII");
    const bool to_upper = upper || (first_upper && out.empty());
    if (to_upper && c >= 'a' && c <= 'z') {
      out += static_cast<char>(c - 'a' + 'A');
    } else if (!to_upper && c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += c;
    }
  }
  return out;
}

std::string replace_text(const std::string& text, const List& arguments) {
  if (arguments.size() != 2 || arguments[0].text().empty())
    throw Error(ErrorCode::kUnsupported, "replace without two strings");
  const std::string &pattern = arguments[0].text(), &content = arguments[1].text();
  std::string out;
  for (size_t at = 0;;) {
    const size_t found = text.find(pattern, at);
    append_text(out, std::string_view(text).substr(at, found - at));
    if (found == std::string::npos) return out;
    append_text(out, content);
    at = found + pattern.size();
  }
}

List split_text(const std::string& text, const List& arguments) {
  if (arguments.size() != 1 || arguments[0].text().empty())
    throw Error(ErrorCode::kUnsupported, "split without one separator");
  const std::string& separator = arguments[0].text();
  List parts;
  for (size_t at = 0;;) {
    const size_t found = text.find(separator, at);
    if (parts.size() == kMaxElements)
      throw Error(ErrorCode::kUnsupported,
                  "a split into more than " + std::to_string(kMaxElements) + " parts");
    parts.emplace_back(text.substr(at, found - at));
    if (found == std::string::npos) return parts;
    at = found + separator.size();
  }
}

bool any_affix(const Value& text, const List& arguments, bool prefix) {
  const std::string& affix = arguments.at(0).text();
  return prefix ? text.text().starts_with(affix) : text.text().ends_with(affix);
}

List items(const Value& value) {
  List pairs;
  for (const auto& [name, member] : value.dict()) pairs.emplace_back(List{name, member});
  return pairs;
}

/// selectattr("role", "equalto", "user") and its opposite.
List select_by_member(const Value& value, const List& arguments, bool wanted) {
  if (arguments.empty()) throw Error(ErrorCode::kConfig, "selectattr without a member's name");
  List out;
  for (const Value& element : value.truthy() ? elements(value) : List()) {
    const Value member = element.is_dict() ? element.member(arguments[0].text()) : Value();
    const bool passes = arguments.size() == 1
                            ? member.truthy()
                            : passes_test(arguments[1].text(), member,
                                          List(arguments.begin() + 2, arguments.end()));
    if (passes == wanted) out.push_back(element);
  }
  return out;
}

std::string join(const Value& value, const List& arguments) {
  std::string out;
  const std::string separator = arguments.empty() ? "" : arguments[0].text();
  const List parts = elements(value);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) append_text(out, separator);
    append_text(out, printed(parts[i]));
  }
  return out;
}

int64_t length(const Value& value) {
  if (!value.is<std::string>()) return static_cast<int64_t>(elements(value).size());
  int64_t characters = 0;
  for (std::string_view rest = value.text(); !rest.empty(); ++characters)
    rest.remove_prefix(next_utf8(rest).length);
  return characters;
}

void expect_arguments(std::string_view name, const List& arguments, size_t least, size_t most) {
  if (arguments.size() < least || arguments.size() > most)
    throw Error(ErrorCode::kConfig, "'" + std::string(name) + "' with " +
                                        std::to_string(arguments.size()) + " arguments");
}

}  // namespace

Value apply_filter(std::string_view name, const Value& value, const List& arguments) {
  if (name == "selectattr" || name == "rejectattr")
    return select_by_member(value, arguments, name == "selectattr");
  expect_arguments(name, arguments, 0, name == "replace" || name == "default" ? 2 : 1);
  if (name == "trim") return strip(printed(value), Strippable(arguments), true, true);
  if (name == "length" || name == "count") return length(value);
  if (name == "list") return elements(value);
  if (name == "items") return value.is<Undefined>() ? List() : items(value);
  if (name == "string") return printed(value);
  if (name == "upper") return change_case(printed(value), true, true);
  if (name == "lower") return change_case(printed(value), false, false);
  if (name == "capitalize") return change_case(printed(value), false, true);
  if (name == "replace") return replace_text(printed(value), arguments);
  if (name == "join") return join(value, arguments);
  if (name == "default" || name == "d") {
    const bool or_false = arguments.size() == 2 && arguments[1].truthy();
    const bool missing = value.is<Undefined>() || (or_false && !value.truthy());
    return !missing ? value : arguments.empty() ? Value("") : arguments[0];
  }
  if (name == "first" || name == "last") {
    const List all = elements(value);
    return all.empty() ? Value() : name == "first" ? all.front() : all.back();
  }
  throw Error(ErrorCode::kUnsupported, "filter '" + std::string(name) + "'");
}

Value call_method(std::string_view name, const Value& value, const List& arguments) {
  if (value.is_dict()) {
    expect_arguments(name, arguments, 0, 2);
    if (name == "items") return items(value);
    if (name == "keys") return elements(value);
    if (name == "get" && !arguments.empty()) {
      const Value member = value.member(arguments[0].text());
      if (!member.is<Undefined>()) return member;
      return arguments.size() == 2 ? arguments[1] : Value(None{});
    }
  } else if (value.is<std::string>()) {
    const std::string& text = value.text();
    const bool left = name == "lstrip", right = name == "rstrip", both = name == "strip";
    if (left || right || both) {
      expect_arguments(name, arguments, 0, 1);
      return strip(text, Strippable(arguments), left || both, right || both);
    }
    if (name == "startswith" || name == "endswith") {
      expect_arguments(name, arguments, 1, 1);
      return any_affix(value, arguments, name == "startswith");
    }
    if (name == "split") return split_text(text, arguments);
    if (name == "replace") return replace_text(text, arguments);
    if (name == "upper") return change_case(text, true, true);
    if (name == "lower") return change_case(text, false, false);
    if (name == "capitalize") return change_case(text, false, true);
  }
  throw Error(ErrorCode::kUnsupported,
              "method '" + std::string(name) + "' of " + std::string(value.kind()));
}

bool passes_test(std::string_view name, const Value& value, const List& arguments) {
  const bool compares = name == "equalto" || name == "eq" || name == "==" || name == "ne";
  expect_arguments(name, arguments, compares ? 1 : 0, compares ? 1 : 0);
  if (compares) return (value == arguments[0]) == (name != "ne");
  if (name == "defined") return !value.is<Undefined>();
  if (name == "undefined") return value.is<Undefined>();
  if (name == "none") return value.is<None>();
  if (name == "string") return value.is<std::string>();
  if (name == "mapping") return value.is_dict();
  if (name == "boolean") return value.is<bool>();
  if (name == "true") return value.is<bool>() && value.truthy();
  if (name == "false") return value.is<bool>() && !value.truthy();
  if (name == "integer") return value.is<int64_t>();
  if (name == "number") return value.is<int64_t>() || value.is<bool>();
  if (name == "odd" || name == "even") return (value.integer() % 2 != 0) == (name == "odd");
  if (name == "sequence" || name == "iterable")
    return value.is<std::string>() || value.is_list() || value.is_dict() || value.is<Undefined>();
  throw Error(ErrorCode::kUnsupported, "test '" + std::string(name) + "'");
}

}  // namespace surprisal::jinja
