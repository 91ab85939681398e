#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace surprisal {

/// What stands at the beginning of some bytes that should be UTF-8.
struct Utf8Unit {
  enum class Kind { kValid, kInvalid, kIncomplete };
  Kind kind;
  size_t length;        ///< bytes it takes; of an invalid unit, those that one U+FFFD stands for
  char32_t code_point;  ///< U+FFFD unless valid
};

/// Reads one character. An invalid unit is a "maximal subpart" (Unicode 16, section 3.9, table 3-7,
/// the rule of Python and Rust); an incomplete one is all of `bytes` and may yet become valid.
/// @param bytes  not empty
Utf8Unit next_utf8(std::string_view bytes);

/// The text with U+FFFD in place of each maximal subpart that is not UTF-8, as Python's
/// decode(errors="replace").
std::string replace_invalid_utf8(std::string_view text);

bool is_valid_utf8(std::string_view text);

/// The bytes of a code point. @pre a Unicode scalar value
void append_utf8(std::string& text, char32_t code_point);

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Character classes of Hugging Face `tokenizers`: see lib/unicode_tables.h.
bool is_letter(char32_t code_point);
bool is_number(char32_t code_point);
bool is_numeric(char32_t code_point);
bool is_space(char32_t code_point);
bool is_word_character(char32_t code_point);

/// Normalization form C, in the Unicode version of `tokenizers`. @pre valid UTF-8
std::string to_nfc(std::string_view text);

}  // namespace surprisal
