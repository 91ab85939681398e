#include "experiments/pattern.h"

#include "lib/error.h"

namespace surprisal {
namespace {

std::regex compile(const std::string& text, const std::string& where) {
  constexpr size_t kLongest = 1000;  // characters: it grows into a machine of states
  if (text.size() > kLongest)
    throw Error(ErrorCode::kConfig, where + ": a regular expression of at most 1,000 characters");
  try {
    // libstdc++'s breadth-first matcher; its default one recurses once a character.
    return std::regex(text, std::regex::ECMAScript | std::regex_constants::__polynomial);
  } catch (const std::regex_error& error) {
    throw Error(
        ErrorCode::kConfig,
        where + ": '" + text + "' is not a regular expression served here: " + error.what());
  }
}

}  // namespace

Pattern::Pattern(const std::string& text, const std::string& where)
    : regex_(compile(text, where)) {}

std::optional<std::string> Pattern::find(const std::string& text, bool last) const {
  std::optional<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), regex_), end; match != end; ++match) {
    found = match->str(0);
    for (size_t group = 1; group < match->size(); ++group)
      if ((*match)[group].length() > 0) {
        found = match->str(group);
        break;
      }
    if (!last) break;
  }
  return found;
}

}  // namespace surprisal
