#include "lib/pre_tokenizer.h"

#include "lib/normalizer.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

void apply(const SplitNumbers& step, std::string_view piece, bool, Pieces& out) {
  size_t begin = 0;
  bool numeric_before = false;
  for (size_t at = 0; at < piece.size();) {
    const Utf8Unit unit = next_utf8(piece.substr(at));
    const bool numeric = is_numeric(unit.code_point);
    const bool cut = numeric != numeric_before || (numeric && step.individually);
    if (cut && at > begin) {
      out.append(piece.substr(begin, at - begin));
      begin = at;
    }
    numeric_before = numeric;
    at += unit.length;
  }
  out.append(piece.substr(begin));
}

void apply(const SplitWords& step, std::string_view piece, bool, Pieces& out) {
  for (size_t at = 0; at < piece.size();) {
    const size_t end = word_end(step.pattern, piece, at);
    out.append(piece.substr(at, end - at));
    at = end;
  }
}

void apply(const PrependSpace&, std::string_view piece, bool, Pieces& out) {
  out.append(piece.starts_with(' ') ? std::string(piece) : " " + std::string(piece));
}

void apply(const MarkSpaces& step, std::string_view piece, bool starts_input, Pieces& out) {
  std::string marked = replace_all(piece, {" ", std::string(kSpaceMark)});
  const bool prepend = step.prepend == MarkSpaces::Prepend::kAlways ||
                       (step.prepend == MarkSpaces::Prepend::kFirst && starts_input);
  if (prepend && !marked.starts_with(kSpaceMark)) marked.insert(0, kSpaceMark);
  if (!step.split) return out.append(marked);
  for (size_t begin = 0; begin < marked.size();) {
    const size_t end = std::min(marked.find(kSpaceMark, begin + 1), marked.size());
    out.append(std::string_view(marked).substr(begin, end - begin));
    begin = end;
  }
}

}  // namespace

void Pieces::append(std::string_view piece) {
  text += piece;
  if (!piece.empty()) ends.push_back(text.size());
}

Pieces pre_tokenize(std::span<const PreTokenizerStep> steps, std::string text, bool starts_input) {
  Pieces pieces;
  if (!text.empty()) pieces.ends.push_back(text.size());
  pieces.text = std::move(text);
  for (const PreTokenizerStep& step : steps) {
    Pieces cut;
    cut.text.reserve(pieces.text.size());
    size_t begin = 0;
    for (const size_t end : pieces.ends) {
      const std::string_view piece(pieces.text.data() + begin, end - begin);
      std::visit([&](const auto& known) { apply(known, piece, starts_input && begin == 0, cut); },
                 step);
      begin = end;
    }
    pieces = std::move(cut);
  }
  return pieces;
}

}  // namespace surprisal
