#include "lib/bpe_tokenizer.h"

#include <algorithm>
#include <charconv>

#include "lib/error.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

/// The byte of "<0xE2>", or nothing.
std::optional<char> fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>')) return std::nullopt;
  unsigned byte = 0;
  const auto [end, failure] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (failure != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts, const TokenizerConfig& config)
    : parts_(std::move(parts)) {
  TokenId highest = 0;
  for (const auto& [token, id] : parts_.model.vocabulary()) highest = std::max(highest, id);
  for (const AddedToken& token : parts_.added_tokens) highest = std::max(highest, token.id);
  // A model may have more rows than its tokenizer has tokens: those decode to nothing.
  const auto size = std::max<int64_t>(int64_t{highest} + 1, config.model_vocab_size);
  pieces_.resize(static_cast<size_t>(size));
  special_.resize(static_cast<size_t>(size));

  for (const auto& [token, id] : parts_.model.vocabulary())
    pieces_[static_cast<size_t>(id)] = decoded_piece(token);
  StringMap<TokenId> special_texts;
  for (const AddedToken& token : parts_.added_tokens)
    if (token.special) special_texts.emplace(token.content, token.id);
  for (const AddedToken& token : parts_.added_tokens) {
    const std::string pattern =
        token.normalized ? normalize(parts_.normalizer, token.content) : token.content;
    (token.normalized ? normalized_finder_ : raw_finder_).add(pattern, token);
    if (!added_ids_.emplace(token.content, token.id).second)
      throw Error(ErrorCode::kFormat, "added token '" + token.content + "' stands there twice");
    const auto at = static_cast<size_t>(token.id);
    // The reference decodes the normalised form, and skips by that form too.
    pieces_[at] = decoded_piece(pattern);
    pieces_[at].skippable = special_texts.contains(pattern);
    special_[at] = token.special;
  }
  if (config.bos_token) bos_ = token_id(*config.bos_token);
  if (config.eos_token) eos_ = token_id(*config.eos_token);
  // As transformers 5 does: what tokenizer_config.json says explicitly replaces the post-processor.
  if (config.add_bos_token || config.add_eos_token) {
    parts_.prefix.clear();
    parts_.suffix.clear();
    if (config.add_bos_token.value_or(false) && bos_) parts_.prefix.push_back(*bos_);
    if (config.add_eos_token.value_or(false) && eos_) parts_.suffix.push_back(*eos_);
  }
  for (const auto* ids : {&parts_.prefix, &parts_.suffix})
    for (const TokenId id : *ids) piece(id);  // throws if there is no such token
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text, bool parse_special,
                                          bool add_special) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  std::vector<TokenId> ids;
  if (add_special) ids = parts_.prefix;
  for (const TextSection& section : raw_finder_.split(text, parse_special)) {
    if (section.token) {
      ids.push_back(*section.token);
    } else {
      encode_section(section.text, parse_special, section.text.data() == text.data(), ids);
    }
  }
  if (add_special) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
  return ids;
}

void BpeTokenizer::encode_section(std::string_view text, bool parse_special, bool starts_input,
                                  std::vector<TokenId>& ids) const {
  const std::string normalized = normalize(parts_.normalizer, text);
  for (const TextSection& section : normalized_finder_.split(normalized, parse_special)) {
    if (section.token) {
      ids.push_back(*section.token);
      continue;
    }
    const bool first = starts_input && section.text.data() == normalized.data();
    const Pieces pieces = pre_tokenize(parts_.pre_tokenizer, std::string(section.text), first);
    size_t begin = 0;
    for (const size_t end : pieces.ends) {
      parts_.model.encode(std::string_view(pieces.text).substr(begin, end - begin), ids);
      begin = end;
    }
  }
}

TokenPiece BpeTokenizer::decoded_piece(std::string_view token) const {
  if (parts_.model.byte_level())
    return {.bytes = ByteAlphabet::bytes(token).value_or(std::string(token))};
  std::string text(token);
  for (const ReplaceText& rule : parts_.decoder_replacements) text = replace_all(text, rule);
  if (parts_.decode_rules.whole_fallback_runs) {
    if (const auto byte = fallback_byte(text))
      return {.bytes = std::string(1, *byte), .fallback = true};
  }
  return {.bytes = text};
}

const TokenPiece& BpeTokenizer::piece(TokenId id) const {
  if (id < 0 || id >= vocab_size())
    throw Error(ErrorCode::kConfig, "token id " + std::to_string(id) +
                                        " is outside the vocabulary of " +
                                        std::to_string(vocab_size()) + " tokens");
  return pieces_[static_cast<size_t>(id)];
}

bool BpeTokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && special_[static_cast<size_t>(id)];
}

std::optional<TokenId> BpeTokenizer::token_id(std::string_view token) const {
  const auto added = added_ids_.find(token);
  return added != added_ids_.end() ? std::optional(added->second) : parts_.model.find(token);
}

}  // namespace surprisal
