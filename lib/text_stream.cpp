#include <algorithm>

#include "lib/tokenizer.h"
#include "lib/unicode.h"

namespace surprisal {

std::string TextStream::push(TokenId id) {
  const TokenPiece& piece = tokenizer_->piece(id);
  if (skip_special_ && piece.skippable) return {};
  if (!rules_.whole_fallback_runs) {
    pending_ += piece.bytes;
    return drop_leading_spaces(settle(/*at_end=*/false));
  }
  if (piece.fallback) {
    pending_ += piece.bytes;
    return {};
  }
  return drop_leading_spaces(settle_fallback_run() + piece.bytes);
}

std::string TextStream::finish() {
  return drop_leading_spaces(rules_.whole_fallback_runs ? settle_fallback_run()
                                                        : settle(/*at_end=*/true));
}

/// Takes what is certain off the pending bytes.
std::string TextStream::settle(bool at_end) {
  std::string text;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const Utf8Unit unit = next_utf8(rest);
    if (unit.kind == Utf8Unit::Kind::kIncomplete && !at_end) break;
    text +=
        unit.kind == Utf8Unit::Kind::kValid ? rest.substr(0, unit.length) : kReplacementCharacter;
    rest.remove_prefix(unit.length);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return text;
}

std::string TextStream::settle_fallback_run() {
  std::string text;
  if (is_valid_utf8(pending_)) {
    text = pending_;
  } else {
    for (size_t i = 0; i < pending_.size(); ++i) text += kReplacementCharacter;
  }
  pending_.clear();
  return text;
}

std::string TextStream::drop_leading_spaces(std::string text) {
  if (leading_spaces_ == 0 || text.empty()) return text;
  const size_t spaces = std::min(text.find_first_not_of(' '), text.size());
  const size_t dropped = std::min(spaces, leading_spaces_);
  leading_spaces_ = spaces < text.size() ? 0 : leading_spaces_ - dropped;
  return text.substr(dropped);
}

}  // namespace surprisal
