#include "lib/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <span>

#include "lib/error.h"
#include "lib/unicode_tables.h"

namespace surprisal {
namespace {

bool contains(std::span<const unicode_tables::CodePointRange> ranges, char32_t code_point) {
  const auto after =
      std::ranges::upper_bound(ranges, code_point, {}, &unicode_tables::CodePointRange::first);
  return after != ranges.begin() && code_point <= std::prev(after)->last;
}

bool is_ascii_letter(char32_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_ascii_digit(char32_t c) {
  return c >= '0' && c <= '9';
}

void append_nfc(std::string& out, std::string_view text) {
  if (text.empty()) return;
  utf8proc_uint8_t* composed = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &composed,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, &std::free);
  if (length < 0)
    throw Error(ErrorCode::kInternal, std::string("normalising text: ") + utf8proc_errmsg(length));
  out.append(reinterpret_cast<const char*>(composed), static_cast<size_t>(length));
}

}  // namespace

Utf8Unit next_utf8(std::string_view bytes) {
  using Kind = Utf8Unit::Kind;
  const auto lead = static_cast<unsigned char>(bytes[0]);
  if (lead < 0x80) return {Kind::kValid, 1, lead};
  if (lead < 0xC2 || lead > 0xF4) return {Kind::kInvalid, 1, 0xFFFD};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t code_point = lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) return {Kind::kIncomplete, i, 0xFFFD};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    // The second byte's range excludes overlong forms, surrogates, and what lies beyond U+10FFFF.
    const unsigned low = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte < low || byte > high) return {Kind::kInvalid, i, 0xFFFD};
    code_point = code_point << 6 | (byte & 0x3Fu);
  }
  return {Kind::kValid, length, code_point};
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Unit unit = next_utf8(text);
    out +=
        unit.kind == Utf8Unit::Kind::kValid ? text.substr(0, unit.length) : kReplacementCharacter;
    text.remove_prefix(unit.length);
  }
  return out;
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Unit unit = next_utf8(text);
    if (unit.kind != Utf8Unit::Kind::kValid) return false;
    text.remove_prefix(unit.length);
  }
  return true;
}

void append_utf8(std::string& text, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

bool is_letter(char32_t c) {
  return c < 0x80 ? is_ascii_letter(c) : contains(unicode_tables::kLetters, c);
}

bool is_number(char32_t c) {
  return c < 0x80 ? is_ascii_digit(c) : contains(unicode_tables::kNumbers, c);
}

bool is_numeric(char32_t c) {
  return c < 0x80 ? is_ascii_digit(c) : contains(unicode_tables::kNumeric, c);
}

bool is_space(char32_t c) {
  return c < 0x80 ? c == ' ' || (c >= '\t' && c <= '\r') : contains(unicode_tables::kSpaces, c);
}

bool is_word_character(char32_t c) {
  return c < 0x80 ? is_ascii_letter(c) || is_ascii_digit(c) || c == '_'
                  : contains(unicode_tables::kWordCharacters, c);
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  // utf8proc may know a newer Unicode than `tokenizers`. Where the two differ, the older one sees
  // characters that neither move nor compose: they pass as they are, and part what surrounds them.
  size_t segment = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = next_utf8(text.substr(at));
    if (unit.code_point >= 0x300 && contains(unicode_tables::kInertInNfc, unit.code_point)) {
      append_nfc(out, text.substr(segment, at - segment));
      out += text.substr(at, unit.length);
      segment = at + unit.length;
    }
    at += unit.length;
  }
  append_nfc(out, text.substr(segment));
  return out;
}

}  // namespace surprisal
