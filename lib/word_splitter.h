#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace surprisal {

/// The regular expressions by which byte-level tokenizers cut text into words before merging. They
/// are carried out by hand over the character classes of lib/unicode.h: a regex library knows
/// another Unicode version and would differ on thousands of letters.
enum class WordPattern {
  kGpt2,       ///< GPT-2, SmolLM: the regex that ByteLevel carries (tokenizers byte_level.rs)
  kGpt4,       ///< Llama-3: contractions in either case, numbers in groups of three
  kGpt4Digit,  ///< Qwen2: the same, each number character alone
};

/// The pattern that a tokenizer.json spells out, or nothing when it is none of the known ones.
std::optional<WordPattern> find_word_pattern(std::string_view regex);

/// Where the word that begins at `at` ends. Every character belongs to some word.
/// @param text  valid UTF-8; @param at  < text.size(), at a character's first byte
size_t word_end(WordPattern pattern, std::string_view text, size_t at);

}  // namespace surprisal
