#pragma once

#include <ostream>
#include <span>
#include <string_view>

#include "tests/fuzz/mutator.h"

namespace surprisal::fuzz {

/// A reader of untrusted input, fed with bytes. A surprisal::Error is a correct answer and is
/// swallowed; anything else (another exception, a crash, a sanitizer's report) is a finding.
struct Target {
  std::string_view name;  ///< its seeds are in tests/fuzz/corpus/NAME
  /// Whether the input was accepted.
  bool (*accepts)(std::string_view input);
  /// Changes an input in a way that keeps its outer shape, so that inner checks are reached.
  std::string (*reshape)(Mutator& mutator, const std::string& input);
};

std::span<const Target> targets();

/// For test names and messages.
inline std::ostream& operator<<(std::ostream& out, const Target& target) {
  return out << target.name;
}

/// @pre there is one of that name
const Target& target(std::string_view name);

}  // namespace surprisal::fuzz
