#include "lib/word_splitter.h"

#include "lib/unicode.h"

namespace surprisal {
namespace {

// The regexes themselves, as published tokenizer.json files spell them: the names of what word_end
// does. Sources: meta-llama llama3/tokenizer.py, transformers tokenization_qwen2.py.
constexpr std::string_view kGpt4Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4DigitRegex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

enum class CharClass { kLetter, kNumber, kSpace, kOther };

struct Character {
  char32_t code_point;
  CharClass kind;
  size_t end;  ///< offset of the next one
};

CharClass classify(char32_t c) {
  if (is_letter(c)) return CharClass::kLetter;
  if (is_number(c)) return CharClass::kNumber;
  return is_space(c) ? CharClass::kSpace : CharClass::kOther;
}

Character character(std::string_view text, size_t at) {
  const Utf8Unit unit = next_utf8(text.substr(at));
  return {unit.code_point, classify(unit.code_point), at + unit.length};
}

bool is_newline(char32_t c) {
  return c == '\r' || c == '\n';
}

/// The end of the longest run of one class from `at`, of at most `most` characters.
size_t run_end(std::string_view text, size_t at, CharClass kind, size_t most = SIZE_MAX) {
  for (size_t n = 0; at < text.size() && n < most; ++n) {
    const Character next = character(text, at);
    if (next.kind != kind) break;
    at = next.end;
  }
  return at;
}

/// 's 't 're 've 'm 'll 'd: its length in bytes, or 0.
size_t contraction_length(std::string_view text, bool ignore_case) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  const auto letter = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  constexpr std::string_view kLongS = "\xC5\xBF";  // U+017F, whose other case is S
  return ignore_case && text.substr(1, 2) == kLongS ? 3 : 0;
}

/// \s+(?!\S)|\s+ : a run of spaces, but the last one goes with the word that follows.
size_t space_end(std::string_view text, size_t at) {
  size_t last = at, end = at;
  while (end < text.size()) {
    const Character next = character(text, end);
    if (next.kind != CharClass::kSpace) return last > at ? last : end;
    last = end;
    end = next.end;
  }
  return end;
}

/// \s*[\r\n]+ : up to the last line break of the run of spaces; `at` when it has none.
size_t line_break_end(std::string_view text, size_t at) {
  size_t break_end = at;
  while (at < text.size()) {
    const Character next = character(text, at);
    if (next.kind != CharClass::kSpace) break;
    at = next.end;
    if (is_newline(next.code_point)) break_end = at;
  }
  return break_end;
}

size_t gpt2_word_end(std::string_view text, size_t at) {
  if (const size_t length = contraction_length(text.substr(at), false)) return at + length;
  const size_t word = at + (text[at] == ' ' ? 1 : 0);
  if (word < text.size()) {
    const CharClass kind = character(text, word).kind;
    if (kind != CharClass::kSpace) return run_end(text, word, kind);
  }
  return space_end(text, at);
}

size_t gpt4_word_end(std::string_view text, size_t at, size_t digits) {
  if (const size_t length = contraction_length(text.substr(at), true)) return at + length;
  const Character first = character(text, at);
  if (first.kind == CharClass::kLetter) return run_end(text, at, CharClass::kLetter);
  if (first.kind == CharClass::kNumber) return run_end(text, at, CharClass::kNumber, digits);
  if (!is_newline(first.code_point)) {
    const size_t letters = run_end(text, first.end, CharClass::kLetter);
    if (letters > first.end) return letters;
  }
  const size_t symbols = first.code_point == ' ' ? first.end : at;
  size_t end = run_end(text, symbols, CharClass::kOther);
  if (end > symbols) {
    while (end < text.size() && is_newline(static_cast<unsigned char>(text[end]))) ++end;
    return end;
  }
  const size_t break_end = line_break_end(text, at);
  return break_end > at ? break_end : space_end(text, at);
}

}  // namespace

std::optional<WordPattern> find_word_pattern(std::string_view regex) {
  if (regex == kGpt2Regex) return WordPattern::kGpt2;
  if (regex == kGpt4Regex) return WordPattern::kGpt4;
  if (regex == kGpt4DigitRegex) return WordPattern::kGpt4Digit;
  return std::nullopt;
}

size_t word_end(WordPattern pattern, std::string_view text, size_t at) {
  switch (pattern) {
    case WordPattern::kGpt2:
      return gpt2_word_end(text, at);
    case WordPattern::kGpt4:
      return gpt4_word_end(text, at, 3);
    case WordPattern::kGpt4Digit:
      return gpt4_word_end(text, at, 1);
  }
  return text.size();
}

}  // namespace surprisal
