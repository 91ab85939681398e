#pragma once

#include <optional>
#include <regex>
#include <string>

namespace surprisal {

/// A regular expression of the user's, matched without recursion: a response of any length cannot
/// overflow the stack. The price is that back-references are refused.
class Pattern {
 public:
  /// @param text   in ECMAScript's syntax
  /// @param where  for messages
  /// @throws Error(kConfig)
  Pattern(const std::string& text, const std::string& where);

  /// The first (or last) match: its first group that matched something, else all of it.
  std::optional<std::string> find(const std::string& text, bool last) const;

 private:
  std::regex regex_;
};

}  // namespace surprisal
