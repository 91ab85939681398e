#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace surprisal {

/// The steps by which a tokenizer.json rewrites text before it is split into words.
struct ComposeNfc {};
struct PrependText {
  std::string text;  ///< to every text that is not empty
};
struct ReplaceText {
  std::string pattern;  ///< literal, not empty
  std::string content;
};
using NormalizerStep = std::variant<ComposeNfc, PrependText, ReplaceText>;

/// The text with every occurrence of the pattern replaced, from left to right.
std::string replace_all(std::string_view text, const ReplaceText& rule);

/// Carries out the steps in order. @param text  valid UTF-8
std::string normalize(std::span<const NormalizerStep> steps, std::string_view text);

}  // namespace surprisal
