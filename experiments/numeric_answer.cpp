#include "experiments/numeric_answer.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>

#include "experiments/scorers.h"

namespace surprisal {
namespace {

constexpr size_t kFractionDigits = 9;  // products of two parts fit in 64 bits

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                              : character;
}

bool is_letter(char character) {
  return (lower(character) >= 'a' && lower(character) <= 'z') || character == '_';
}

/// The digits at the start of `text`.
std::string_view leading_digits(std::string_view text) {
  return text.substr(0, text.find_first_not_of("0123456789"));
}

struct Number {
  std::string canonical;
  size_t end = 0;  ///< offset behind it
};

std::string decimal_text(bool negative, std::string whole, std::string fraction) {
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  fraction.erase(fraction.find_last_not_of('0') + 1);  // npos + 1 = 0: all zeros
  if (whole.empty()) whole = "0";
  if (!fraction.empty()) whole += '.' + fraction;
  return negative && whole != "0" ? '-' + whole : whole;
}

std::string fraction_text(bool negative, uint64_t numerator, uint64_t denominator) {
  const uint64_t divisor = std::gcd(numerator, denominator);
  numerator /= divisor;
  denominator /= divisor;
  uint64_t rest = denominator;
  for (const uint64_t prime : {2, 5})
    while (rest % prime == 0) rest /= prime;
  if (rest != 1)
    return (negative ? "-" : "") + std::to_string(numerator) + '/' + std::to_string(denominator);
  std::string digits;  // ends: the denominator divides a power of ten
  for (uint64_t left = numerator % denominator; left != 0; left %= denominator) {
    left *= 10;
    digits += static_cast<char>('0' + left / denominator);
  }
  return decimal_text(negative, std::to_string(numerator / denominator), digits);
}

/// The digits of an integer at the start of `text`, with or without groups of three.
struct Whole {
  std::string digits;
  size_t length = 0;  ///< as written
};
Whole read_whole(std::string_view text) {
  const std::string_view head = leading_digits(text);
  Whole whole{std::string(head), head.size()};
  if (head.empty() || head.size() > 3) return whole;
  while (text.substr(whole.length).starts_with(',')) {
    const std::string_view group = leading_digits(text.substr(whole.length + 1));
    if (group.size() != 3) break;
    whole.digits += group;
    whole.length += 4;
  }
  return whole;
}

/// "3/4" at the start of `text`, but not "3/4/2024", "3/0" or more digits than are computed with.
struct Ratio {
  uint64_t numerator = 0, denominator = 1;
  size_t length = 0;
};
std::optional<Ratio> read_ratio(std::string_view text) {
  const std::string_view over = leading_digits(text);
  if (over.empty() || !text.substr(over.size()).starts_with('/')) return std::nullopt;
  const std::string_view under = leading_digits(text.substr(over.size() + 1));
  if (under.empty() || over.size() > kFractionDigits || under.size() > kFractionDigits)
    return std::nullopt;
  const size_t length = over.size() + 1 + under.size();
  if (text.substr(length).starts_with('/')) return std::nullopt;
  const Ratio ratio{std::stoull(std::string(over)), std::stoull(std::string(under)), length};
  return ratio.denominator == 0 ? std::nullopt : std::optional(ratio);
}

/// Whether a minus sign stands before `position`, currency signs in between or before it.
bool is_negative(std::string_view text, size_t position) {
  std::string_view before = text.substr(0, position);
  constexpr std::string_view kCurrencies[] = {"\\$", "$", "\u00a3", "\u20ac"};
  for (const std::string_view currency : kCurrencies)
    if (before.ends_with(currency)) {
      before.remove_suffix(currency.size());
      break;
    }
  constexpr std::string_view kMinusSigns[] = {"-", "\u2212"};
  for (const std::string_view sign : kMinusSigns)
    if (before.ends_with(sign)) {
      before.remove_suffix(sign.size());
      return before.empty() || !(is_digit(before.back()) || is_letter(before.back()) ||
                                 before.back() == ')' || before.back() == ']');
    }
  return false;
}

/// The number that begins at `position`, if one does.
std::optional<Number> read_number(std::string_view text, size_t position) {
  const std::string_view here = text.substr(position);
  const bool bare_point = here.size() > 1 && here[0] == '.' && is_digit(here[1]);
  if (!is_digit(here.front()) && !bare_point) return std::nullopt;
  const bool negative = is_negative(text, position);

  const bool inside_a_date = position > 0 && text[position - 1] == '/';
  if (const auto ratio = inside_a_date ? std::nullopt : read_ratio(here))
    return Number{fraction_text(negative, ratio->numerator, ratio->denominator),
                  position + ratio->length};
  const Whole whole = read_whole(here);
  const std::string_view after = here.substr(whole.length);
  if (after.starts_with(' ') && !whole.digits.empty() && whole.digits.size() <= kFractionDigits) {
    const auto ratio = read_ratio(after.substr(1));
    if (ratio && ratio->numerator < ratio->denominator)
      return Number{
          fraction_text(negative, std::stoull(whole.digits) * ratio->denominator + ratio->numerator,
                        ratio->denominator),
          position + whole.length + 1 + ratio->length};
  }
  const std::string_view decimals =
      after.starts_with('.') ? leading_digits(after.substr(1)) : std::string_view();
  return Number{decimal_text(negative, whole.digits, std::string(decimals)),
                position + whole.length + (decimals.empty() ? 0 : 1 + decimals.size())};
}

/// The first or the last number of a text.
std::optional<std::string> find_number(std::string_view text, bool last) {
  std::optional<std::string> found;
  for (size_t position = 0; position < text.size();) {
    const auto number = read_number(text, position);
    if (!number) {
      ++position;
      continue;
    }
    const bool part_of_a_word = position > 0 && is_letter(text[position - 1]);
    if (!part_of_a_word) found = number->canonical;
    if (!part_of_a_word && !last) break;
    position = number->end;
  }
  return found;
}

/// What a marker introduces: from the first thing said to the end of the line or sentence, and no
/// further than an answer can be (a text of nothing but markers stays cheap to read).
std::string_view clause(std::string_view text) {
  constexpr size_t kLongestClause = 1000;
  text = text.substr(0, kLongestClause);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n:*"), text.size()));
  text = text.substr(0, text.find_first_of("\n}"));
  for (size_t at = 0; at + 1 < text.size(); ++at)
    if ((text[at] == '.' || text[at] == '!' || text[at] == '?') && text[at + 1] == ' ')
      return text.substr(0, at);
  return text;
}

}  // namespace

std::string numeric_answer(std::string_view text) {
  constexpr std::string_view kMarkers[] = {"####", "\\boxed{", "answer is", "answer:", "answer ="};
  std::string folded(text);
  std::transform(folded.begin(), folded.end(), folded.begin(), lower);
  for (size_t position = folded.size(); position-- > 0;)
    for (const std::string_view marker : kMarkers) {
      if (!std::string_view(folded).substr(position).starts_with(marker)) continue;
      const std::string_view said = clause(text.substr(position + marker.size()));
      const size_t equals = said.rfind('=');
      if (equals != std::string_view::npos)
        if (auto number = find_number(said.substr(equals + 1), false)) return *number;
      if (auto number = find_number(said, false)) return *number;
    }
  return find_number(text, true).value_or(std::string(kInvalidAnswer));
}

}  // namespace surprisal
