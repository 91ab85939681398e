#pragma once

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/word_splitter.h"

namespace surprisal {

/// The steps by which a tokenizer.json cuts normalised text into the pieces that merging never
/// crosses.
struct SplitNumbers {
  bool individually;  ///< each numeric character alone; false: runs of them
};
struct SplitWords {
  WordPattern pattern;
};
struct PrependSpace {};  ///< to every piece that does not begin with one
struct MarkSpaces {      ///< Metaspace: spaces become U+2581
  enum class Prepend { kAlways, kFirst, kNever };
  Prepend prepend;  ///< where a U+2581 is put before a piece that does not begin with one
  bool split;       ///< cut before every U+2581
};
using PreTokenizerStep = std::variant<SplitNumbers, SplitWords, PrependSpace, MarkSpaces>;

/// Text cut into pieces; none is empty.
struct Pieces {
  std::string text;
  std::vector<size_t> ends;  ///< offset where each piece ends; the last is text.size()

  void append(std::string_view piece);
};

/// Carries out the steps in order.
/// @param text  valid UTF-8
/// @param starts_input  whether the text stands at the very beginning of what is being encoded
Pieces pre_tokenize(std::span<const PreTokenizerStep> steps, std::string text, bool starts_input);

}  // namespace surprisal
