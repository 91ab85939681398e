#pragma once

#include <cstdint>
#include <span>

/// The character classes of Hugging Face `tokenizers` 0.23.3, as sorted ranges. Its parts know
/// different Unicode versions; each table follows the part that uses it.
namespace surprisal::unicode_tables {

struct CodePointRange {
  char32_t first;
  char32_t last;  ///< inclusive
};

extern const std::span<const CodePointRange> kLetters;         ///< \p{L} of its regexes (16.0)
extern const std::span<const CodePointRange> kNumbers;         ///< \p{N} of its regexes (16.0)
extern const std::span<const CodePointRange> kNumeric;         ///< of its Digits splitter (17.0)
extern const std::span<const CodePointRange> kSpaces;          ///< \s
extern const std::span<const CodePointRange> kWordCharacters;  ///< \w around added tokens
/// Code points that its NFC (9.0) leaves alone and a newer Unicode reorders or composes.
extern const std::span<const CodePointRange> kInertInNfc;

}  // namespace surprisal::unicode_tables
