#include "lib/added_tokens.h"

#include <algorithm>

#include "lib/error.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

uint64_t edge(uint32_t node, char byte) {
  return uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

/// Where the last character of a text begins. @param text  not empty
size_t last_character(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word_character(next_utf8(text).code_point);
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && starts_with_word(text.substr(last_character(text)));
}

/// Where the spaces at the end of a text begin.
size_t trailing_spaces(std::string_view text) {
  while (!text.empty()) {
    const size_t at = last_character(text);
    if (!is_space(next_utf8(text.substr(at)).code_point)) break;
    text = text.substr(0, at);
  }
  return text.size();
}

/// How many bytes of spaces a text begins with.
size_t leading_spaces(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Unit unit = next_utf8(text.substr(at));
    if (!is_space(unit.code_point)) break;
    at += unit.length;
  }
  return at;
}

}  // namespace

void AddedTokenFinder::add(std::string_view pattern, const AddedToken& token) {
  if (pattern.empty() || pattern.size() > kMaxPatternBytes)
    throw Error(ErrorCode::kFormat, "added token of " + std::to_string(pattern.size()) +
                                        " bytes; from 1 to " + std::to_string(kMaxPatternBytes) +
                                        " are expected");
  uint32_t node = 0;
  for (const char byte : pattern) {
    const auto [child, is_new] = children_.try_emplace(edge(node, byte), nodes_);
    if (is_new) ++nodes_;
    node = child->second;
  }
  if (!token_at_.try_emplace(node, tokens_.size()).second)
    throw Error(ErrorCode::kFormat,
                "added token '" + std::string(pattern) + "' stands there twice");
  tokens_.push_back(token);
  may_start_[static_cast<unsigned char>(pattern[0])] = true;
}

std::optional<AddedTokenFinder::Match> AddedTokenFinder::longest_match(
    std::string_view text) const {
  std::optional<Match> longest;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto child = children_.find(edge(node, text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (const auto token = token_at_.find(node); token != token_at_.end())
      longest = Match{i + 1, &tokens_[token->second]};
  }
  return longest;
}

std::vector<TextSection> AddedTokenFinder::split(std::string_view text, bool parse_special) const {
  std::vector<TextSection> sections;
  size_t done = 0;
  size_t spaces_begin = 0, spaces_end = 0;  // the last run of spaces found after a token
  const auto add_text_until = [&](size_t end) {
    if (done < end) sections.push_back({text.substr(done, end - done), std::nullopt});
  };
  for (size_t at = 0; at < text.size();) {
    const auto match = may_start_[static_cast<unsigned char>(text[at])]
                           ? longest_match(text.substr(at))
                           : std::nullopt;
    if (!match) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + match->length;
    at = end;  // even if the match is dropped: nothing else is looked for inside it
    const AddedToken& token = *match->token;
    if (token.special && !parse_special) continue;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (token.lstrip)
      begin = done + (begin > done ? trailing_spaces(text.substr(done, begin - done)) : 0);
    if (token.rstrip) {
      if (end < spaces_begin || end > spaces_end) {
        spaces_begin = end;
        spaces_end = end + leading_spaces(text.substr(end));
      }
      end = spaces_end;
    }
    add_text_until(begin);
    sections.push_back({text.substr(begin, std::max(begin, end) - begin), token.id});
    done = end;
  }
  add_text_until(text.size());
  return sections;
}

}  // namespace surprisal
