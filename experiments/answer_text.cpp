#include "experiments/answer_text.h"

#include <algorithm>

#include "experiments/stop_strings.h"

namespace surprisal {

AnswerText::AnswerText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings)
    : stream_(tokenizer, /*skip_special=*/true), stop_strings_(std::move(stop_strings)) {
  for (const std::string& stop : stop_strings_) reach_ = std::max(reach_, stop.size());
}

bool AnswerText::push(TokenId token, TokenSource source) {
  return append(stream_.push(token),
                source == TokenSource::kSampled || source == TokenSource::kBranch);
}

bool AnswerText::finish() {
  return cut_ || append(stream_.finish(), was_own_);
}

bool AnswerText::append(const std::string& piece, bool own) {
  const size_t before = text_.size();
  text_ += piece;
  if (!own) {
    if (!was_own_ && !foreign_.empty())
      foreign_.back().end = static_cast<int64_t>(text_.size());
    else
      foreign_.push_back({static_cast<int64_t>(before), static_cast<int64_t>(text_.size())});
    was_own_ = false;
    own_begin_ = text_.size();
    return false;
  }
  was_own_ = true;

  // A stop string may have begun in earlier tokens of this stretch.
  const size_t from = std::max(own_begin_, before > reach_ ? before - reach_ : 0);
  const size_t cut = from + stop_cut(std::string_view(text_).substr(from), stop_strings_);
  if (cut == text_.size()) return false;
  cut_ = true;
  text_.resize(cut);
  return true;
}

}  // namespace surprisal
