#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/sample.h"
#include "lib/tokenizer.h"

namespace surprisal {

/// The growing text of an answer: decodes tokens, remembers which spans are not the model's own,
/// and looks for stop strings in the model's own text only.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings);

  /// Adds a token's text. @return true when a stop string is complete: the text is then cut at its
  /// first character and the answer is over.
  bool push(TokenId token, TokenSource source);
  /// Ends the text: characters still incomplete become U+FFFD. May complete a stop string, too.
  bool finish();

  const std::string& text() const { return text_; }
  const std::vector<TextSpan>& foreign() const { return foreign_; }

 private:
  bool append(const std::string& piece, bool own);

  TextStream stream_;
  std::vector<std::string> stop_strings_;
  size_t reach_ = 0;  ///< bytes of the longest of them
  std::string text_;
  std::vector<TextSpan> foreign_;
  size_t own_begin_ = 0;  ///< where the current stretch of the model's own text begins
  bool was_own_ = true;
  bool cut_ = false;
};

}  // namespace surprisal
