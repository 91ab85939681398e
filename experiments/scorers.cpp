#include "experiments/scorers.h"

#include <algorithm>

#include "experiments/numeric_answer.h"

namespace surprisal {
namespace {

constexpr std::string_view kPlainCharacters = "0123456789.,";
constexpr std::string_view kLooseCharacters = "$0123456789.,";

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

/// The length of the pattern's number at the very start of `text`; 0 = it does not match there.
size_t match_number(const AnswerPattern& pattern, std::string_view text) {
  const bool loose = pattern.number == AnswerPattern::Number::kLoose;
  const size_t sign = text.starts_with('-') ? 1 : 0;
  const size_t end = std::min(
      text.find_first_not_of(loose ? kLooseCharacters : kPlainCharacters, sign), text.size());
  const size_t run = end - sign;
  if (run == 0) return 0;
  // A run of one: the second alternative of the loose form, which wants a digit.
  if (loose) return run >= 2 || is_digit(text[sign]) ? end : 0;
  if (!pattern.needs_a_character_after || (end < text.size() && text[end] != '\n')) return end;
  return run >= 2 ? end - 1 : 0;
}

/// re.sub of the expressions that GSM8K's exact_match ignores, in lm-evaluation-harness' order.
std::string normalise(std::string_view text) {
  std::string result;
  for (const char character : text)
    if (character != ',' && character != '$') result += character;
  constexpr std::string_view kHashes = "#### ";
  if (const size_t hashes = result.rfind(kHashes); hashes != std::string::npos)
    result.erase(0, hashes + kHashes.size());
  // `\.$`: Python's $ also matches before a newline that ends the text.
  if (result.ends_with('.'))
    result.pop_back();
  else if (result.ends_with(".\n"))
    result.erase(result.size() - 2, 1);
  for (char& character : result)
    if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
  return result;
}

}  // namespace

std::string extract_answer(const AnswerPattern& pattern, std::string_view response) {
  std::string_view found = kInvalidAnswer;
  size_t position = 0;
  while (position < response.size()) {
    position = response.find(pattern.marker, position);
    if (position == std::string_view::npos) break;
    const size_t start = position + pattern.marker.size();
    const size_t length = match_number(pattern, response.substr(start));
    if (length == 0) {
      ++position;
      continue;
    }
    found = response.substr(start, length);
    if (!pattern.last) break;
    position = start + length;
  }
  return std::string(found);
}

bool exact_match(std::string_view extracted, std::string_view target) {
  return normalise(extracted) == normalise(target);
}

Score score_answer(const AnswerPattern& strict, std::string_view response,
                   std::string_view target) {
  Score score;
  score.extracted_strict = extract_answer(strict, response);
  score.extracted_flexible = extract_answer(kFlexibleAnswer, response);
  score.extracted_numeric = numeric_answer(response);
  score.strict = exact_match(score.extracted_strict, target);
  score.flexible = exact_match(score.extracted_flexible, target);
  score.valid = score.extracted_numeric != kInvalidAnswer;
  score.numeric = score.valid && score.extracted_numeric == numeric_answer(target);
  return score;
}

}  // namespace surprisal
