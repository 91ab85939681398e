#include "lib/normalizer.h"

#include "lib/unicode.h"

namespace surprisal {
namespace {

std::string apply(const ComposeNfc&, std::string_view text) {
  return to_nfc(text);
}

std::string apply(const PrependText& step, std::string_view text) {
  return text.empty() ? std::string() : step.text + std::string(text);
}

std::string apply(const ReplaceText& step, std::string_view text) {
  return replace_all(text, step);
}

}  // namespace

std::string replace_all(std::string_view text, const ReplaceText& rule) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0;;) {
    const size_t found = text.find(rule.pattern, at);
    out += text.substr(at, found - at);
    if (found == std::string_view::npos) return out;
    out += rule.content;
    at = found + rule.pattern.size();
  }
}

std::string normalize(std::span<const NormalizerStep> steps, std::string_view text) {
  std::string out(text);
  for (const NormalizerStep& step : steps)
    out = std::visit([&](const auto& known) { return apply(known, out); }, step);
  return out;
}

}  // namespace surprisal
