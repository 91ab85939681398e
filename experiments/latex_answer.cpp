#include "experiments/latex_answer.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/normalizer.h"

namespace surprisal {
namespace {

std::vector<std::string> split(const std::string& text, std::string_view separator) {
  std::vector<std::string> parts;
  size_t from = 0;
  for (size_t at = 0; (at = text.find(separator, from)) != std::string::npos;
       from = at + separator.size())
    parts.push_back(text.substr(from, at - from));
  parts.push_back(text.substr(from));
  return parts;
}

/// The first character's bytes (UTF-8; a stray byte counts as a character).
size_t first_character(std::string_view text) {
  const auto lead = static_cast<uint8_t>(text[0]);
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  return std::min(length, text.size());
}

size_t characters(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_character(text));
  return count;
}

/// \sqrt3 -> \sqrt{3}
std::optional<std::string> brace_roots(const std::string& text) {
  const std::vector<std::string> parts = split(text, "\\sqrt");
  std::string result = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    if (part.empty()) return std::nullopt;
    if (part[0] == '{') {
      result += "\\sqrt" + part;
    } else {
      const size_t size = first_character(part);
      result += "\\sqrt{" + part.substr(0, size) + "}" + part.substr(size);
    }
  }
  return result;
}

/// \frac12 -> \frac{1}{2}, \frac1{72} -> \frac{1}{72}
std::optional<std::string> brace_fractions(const std::string& text) {
  const std::vector<std::string> parts = split(text, "\\frac");
  std::string result = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string& part = parts[i];
    result += "\\frac";
    if (part.empty()) return std::nullopt;
    if (part[0] == '{') {
      result += part;
      continue;
    }
    const size_t first = first_character(part);
    if (part.size() == first) return text;  // nothing to divide by: the whole text stays
    const std::string rest = part.substr(first);
    const size_t second = rest[0] == '{' ? 0 : first_character(rest);
    result += "{" + part.substr(0, first) + "}";
    result += second == 0 ? rest : "{" + rest.substr(0, second) + "}" + rest.substr(second);
  }
  return result;
}

/// What Python's int() reads, in ASCII: digits, single underscores between them, a sign.
bool is_python_integer(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  bool after_digit = false;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c == '_' && after_digit)) return false;
    after_digit = digit;
  }
  return after_digit;
}

/// Whether Python prints the integer as it stands here.
bool is_plain_integer(std::string_view text) {
  if (text == "0") return true;
  if (text.starts_with('-')) text.remove_prefix(1);
  return !text.empty() && text[0] != '0' &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// 3/4 -> \frac{3}{4}
std::optional<std::string> spell_quotient(const std::string& text) {
  const std::vector<std::string> parts = split(text, "/");
  if (parts.size() != 2) return text;
  if (!is_python_integer(parts[0]) || !is_python_integer(parts[1])) return std::nullopt;
  if (!is_plain_integer(parts[0]) || !is_plain_integer(parts[1])) return text;
  return "\\frac{" + parts[0] + "}{" + parts[1] + "}";
}

}  // namespace

std::optional<std::string> last_boxed(std::string_view text) {
  constexpr std::string_view kOpen = "\\boxed ";
  if (const size_t at = text.rfind(kOpen); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at + kOpen.size());
    return std::string(rest.substr(0, rest.find('$')));
  }
  size_t begin = text.rfind("\\boxed");
  size_t name = std::string_view("\\boxed").size();
  if (begin == std::string_view::npos) {
    begin = text.rfind("\\fbox");
    name = std::string_view("\\fbox").size();
  }
  if (begin == std::string_view::npos || begin + name >= text.size() || text[begin + name] != '{')
    return std::nullopt;
  int64_t depth = 0;
  for (size_t i = begin + name; i < text.size(); ++i) {
    depth += text[i] == '{';
    depth -= text[i] == '}';
    if (depth == 0) return std::string(text.substr(begin + name + 1, i - begin - name - 1));
  }
  return std::nullopt;
}

std::optional<std::string> normalise_latex(std::string_view original) {
  std::string text(original);
  static const ReplaceText kFirst[] = {
      {"\n", ""},     {"\\!", ""},     {"\\\\", "\\"},    {"tfrac", "frac"}, {"dfrac", "frac"},
      {"\\left", ""}, {"\\right", ""}, {"^{\\circ}", ""}, {"^\\circ", ""},   {"\\$", ""}};
  for (const ReplaceText& rule : kFirst) text = replace_all(text, rule);
  const std::vector<std::string> units = split(text, "\\text{ ");
  if (units.size() > 2) return std::nullopt;
  text = units[0];
  static const ReplaceText kThen[] = {{"\\%", ""}, {" .", " 0."}, {"{.", "{0."}};
  for (const ReplaceText& rule : kThen) text = replace_all(text, rule);
  if (text.empty()) return text;
  if (text[0] == '.') text = "0" + text;
  const std::vector<std::string> sides = split(text, "=");
  if (sides.size() == 2 && characters(sides[0]) <= 2) text = sides[1];
  auto step = brace_roots(text);
  if (!step) return std::nullopt;
  *step = replace_all(*step, {" ", ""});
  step = brace_fractions(*step);
  if (!step) return std::nullopt;
  if (*step == "0.5") *step = "\\frac{1}{2}";
  return spell_quotient(*step);
}

bool latex_equal(std::string_view one, std::string_view other) {
  const auto first = normalise_latex(one), second = normalise_latex(other);
  return first && second ? *first == *second : one == other;
}

}  // namespace surprisal
