#include "tests/fuzz/mutator.h"

#include <algorithm>
#include <array>
#include <limits>

#include "lib/error.h"

namespace surprisal::fuzz {

std::string Mutator::bytes(std::string text) {
  static constexpr std::array<std::string_view, 12> kTokens = {
      "{",   "}", "[", "]", "\"", "%}", "{{", "\xff", "\xed\xa0\x80", "-1", "99999999999999999999",
      "\n  "};
  for (size_t edits = 1 + below(6); edits > 0; --edits) {
    const size_t at = below(text.size() + 1);
    const size_t length = std::min(text.size() - at, 1 + below(16));
    switch (below(6)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size() + 1), length));
        break;
      case 4:
        text.insert(at, kTokens[below(kTokens.size())]);
        break;
      default:
        if (below(4) == 0) text.resize(at);
    }
  }
  return text;
}

Json Mutator::surprise() {
  constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();
  switch (below(14)) {
    case 0:
      return nullptr;
    case 1:
      return below(2) == 0;
    case 2:
      return -1;
    case 3:
      return kHuge - static_cast<int64_t>(below(2));
    case 4:
      return std::numeric_limits<uint64_t>::max();
    case 5:
      return std::numeric_limits<int64_t>::min();
    case 6:
      return static_cast<int64_t>(below(1 << 20));
    case 7:
      return 0.5;
    case 8:
      return 1e308;
    case 9:
      return "";
    case 10:
      return bytes(std::string(below(40), 'a'));
    case 11:
      return Json::array();
    case 12:
      return Json::object();
    default:
      return static_cast<int64_t>(below(4));
  }
}

void Mutator::edit(Json& value) {
  const bool has_parts = value.is_structured() && !value.empty();
  if (has_parts && below(5) != 0) {  // further down
    auto part = value.begin();
    std::advance(part, static_cast<ptrdiff_t>(below(value.size())));
    if (below(6) != 0) return edit(*part);
    if (value.is_array()) {
      if (below(2) == 0)
        value.erase(part);
      else
        value.insert(part, Json(*part));
      return;
    }
    const Json moved = *part;
    const std::string key = part.key();
    if (below(2) == 0) value.erase(key);
    if (below(2) == 0) value[key + "x"] = moved;
    return;
  }
  // Mostly of the same kind: what follows the check of the kind is where mistakes hide.
  if (value.is_number_integer() && below(4) != 0) {
    const auto near = static_cast<int64_t>(value.get<uint64_t>() + below(5) - 2);
    value = below(3) != 0 ? near : static_cast<int64_t>(below(1 << 16));
  } else if (value.is_string() && below(4) != 0) {
    value = bytes(value.get<std::string>());
  } else {
    value = surprise();
  }
}

Json Mutator::tree(Json value) {
  for (size_t edits = 1 + below(3); edits > 0; --edits) edit(value);
  return value;
}

std::string Mutator::json_text(const std::string& text) {
  try {
    return dump_line(tree(parse_json(text, "seed")));
  } catch (const Error&) {
    return bytes(text);
  }
}

}  // namespace surprisal::fuzz
