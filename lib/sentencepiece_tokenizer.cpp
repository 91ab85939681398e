#include "lib/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>

#include "lib/error.h"
#include "lib/normalizer.h"
#include "lib/sha256.h"
#include "lib/unicode.h"

namespace surprisal {
namespace {

using sentencepiece::SentencePieceProcessor;

std::unique_ptr<SentencePieceProcessor> load(const std::string& model) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  std::string problem;
  try {
    const auto status = processor->LoadFromSerializedProto(model);
    if (status.ok()) return processor;
    problem = status.ToString();
  } catch (const std::exception& error) {  // of its trie, on a piece that begins with NUL
    problem = error.what();
  }
  throw Error(ErrorCode::kFormat, "not a sentencepiece model: " + problem);
}

/// The same model without the space that it puts before a text. Protocol buffers of the same
/// message can be concatenated, the later fields winning, so this appends
/// `normalizer_spec { add_dummy_prefix: false }` (fields 3 and 3 of sentencepiece_model.proto).
std::string without_prefix(const std::string& model) {
  return model + std::string("\x1A\x02\x18\x00", 4);
}

}  // namespace

SentencePieceTokenizer::~SentencePieceTokenizer() = default;

bool SentencePieceTokenizer::looks_like_model(std::string_view content) {
  return content.starts_with('\x0A');  // the first field: a piece
}

SentencePieceTokenizer::SentencePieceTokenizer(const std::string& model,
                                               std::vector<AddedToken> added,
                                               const TokenizerConfig& config)
    : prefixing_(load(model)),
      bare_(load(without_prefix(model))),
      legacy_(config.legacy.value_or(false)),
      add_prefix_space_(config.add_prefix_space.value_or(true)),
      add_bos_(config.add_bos_token.value_or(true)),
      add_eos_(config.add_eos_token.value_or(false)),
      sha256_(sha256_hex(model)) {
  add_model_tokens(config, added);
  for (int id = 0; id < prefixing_->GetPieceSize(); ++id)
    token_ids_.emplace(prefixing_->IdToPiece(id), id);
  for (const AddedToken& token : added) {
    finder_.add(token.content, token);
    const auto [known, is_new] = token_ids_.emplace(token.content, token.id);
    if (!is_new && known->second != token.id)
      throw Error(ErrorCode::kFormat, "added token '" + token.content + "' has id " +
                                          std::to_string(token.id) + ", but the model's is " +
                                          std::to_string(known->second));
  }
  fill_pieces(added, config.model_vocab_size);
  decode_rules_ = {.whole_fallback_runs = true,
                   .leading_spaces_dropped = add_prefix_space_ ? size_t{1} : size_t{0}};
  const auto named = [&](const std::optional<std::string>& name, int model_id) {
    if (name) return token_id(*name);
    return model_id >= 0 ? std::optional<TokenId>(model_id) : std::nullopt;
  };
  bos_ = named(config.bos_token, prefixing_->bos_id());
  eos_ = named(config.eos_token, prefixing_->eos_id());
}

/// The model's own special tokens are found in text too, even if no file lists them.
void SentencePieceTokenizer::add_model_tokens(const TokenizerConfig& config,
                                              std::vector<AddedToken>& added) const {
  const auto add = [&](const std::string& content, int id) {
    if (std::ranges::find(added, content, &AddedToken::content) != added.end()) return;
    AddedToken token;
    token.content = content;
    token.id = id;
    token.special = true;
    added.push_back(token);
  };
  for (int id = 0; id < prefixing_->GetPieceSize(); ++id)
    if (prefixing_->IsControl(id) || prefixing_->IsUnknown(id)) add(prefixing_->IdToPiece(id), id);
  for (const auto& name : {config.bos_token, config.eos_token, config.unk_token}) {
    if (!name) continue;
    const int id = prefixing_->PieceToId(*name);
    if (prefixing_->IdToPiece(id) == *name) add(*name, id);
  }
}

void SentencePieceTokenizer::fill_pieces(const std::vector<AddedToken>& added,
                                         int64_t model_vocab_size) {
  int64_t size = std::max<int64_t>(prefixing_->GetPieceSize(), model_vocab_size);
  for (const AddedToken& token : added) size = std::max<int64_t>(size, int64_t{token.id} + 1);
  pieces_.resize(static_cast<size_t>(size));
  const ReplaceText mark{"\xE2\x96\x81", " "};
  for (int id = 0; id < prefixing_->GetPieceSize(); ++id) {
    TokenPiece& piece = pieces_[static_cast<size_t>(id)];
    const std::string& text = prefixing_->IdToPiece(id);
    piece.fallback = prefixing_->IsByte(id);
    piece.bytes = piece.fallback
                      ? std::string(1, static_cast<char>(std::stoi(text.substr(3, 2), nullptr, 16)))
                      : replace_all(text, mark);
  }
  for (const AddedToken& token : added)
    pieces_[static_cast<size_t>(token.id)] = {.bytes = replace_all(token.content, mark),
                                              .skippable = token.special};
}

std::vector<TokenId> SentencePieceTokenizer::encode(std::string_view text, bool parse_special,
                                                    bool add_special) const {
  std::string repaired;
  if (!is_valid_utf8(text)) text = repaired = replace_invalid_utf8(text);
  std::vector<TokenId> ids;
  if (add_special && add_bos_ && bos_) ids.push_back(*bos_);
  for (const TextSection& section : finder_.split(text, parse_special)) {
    if (section.token) {
      ids.push_back(*section.token);
      continue;
    }
    const bool prefix = add_prefix_space_ && (legacy_ || section.text.data() == text.data());
    std::vector<int> section_ids;
    const auto status =
        (prefix ? prefixing_ : bare_)->Encode(std::string_view(section.text), &section_ids);
    if (!status.ok()) throw Error(ErrorCode::kInternal, "sentencepiece: " + status.ToString());
    ids.insert(ids.end(), section_ids.begin(), section_ids.end());
  }
  if (add_special && add_eos_ && eos_) ids.push_back(*eos_);
  return ids;
}

const TokenPiece& SentencePieceTokenizer::piece(TokenId id) const {
  if (id < 0 || id >= vocab_size())
    throw Error(ErrorCode::kConfig, "token id " + std::to_string(id) +
                                        " is outside the vocabulary of " +
                                        std::to_string(vocab_size()) + " tokens");
  return pieces_[static_cast<size_t>(id)];
}

bool SentencePieceTokenizer::is_special(TokenId id) const {
  return id >= 0 && id < vocab_size() && pieces_[static_cast<size_t>(id)].skippable;
}

std::optional<TokenId> SentencePieceTokenizer::token_id(std::string_view token) const {
  const auto found = token_ids_.find(token);
  return found == token_ids_.end() ? std::nullopt : std::optional(found->second);
}

std::string SentencePieceTokenizer::description() const {
  return std::string("sentencepiece (") + (legacy_ ? "legacy" : "not legacy") + ")";
}

}  // namespace surprisal
