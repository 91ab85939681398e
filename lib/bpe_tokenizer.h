#pragma once

#include <string>
#include <vector>

#include "lib/added_tokens.h"
#include "lib/bpe_model.h"
#include "lib/normalizer.h"
#include "lib/pre_tokenizer.h"
#include "lib/tokenizer.h"
#include "lib/tokenizer_config.h"

namespace surprisal {

/// The parts of a tokenizer.json whose model is byte-pair encoding.
struct BpeTokenizerParts {
  BpeModel model;
  std::vector<AddedToken> added_tokens;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<ReplaceText> decoder_replacements;  ///< on each token's text, before anything else
  DecodeRules decode_rules;
  std::vector<TokenId> prefix;  ///< what add_special puts before the text
  std::vector<TokenId> suffix;  ///< and after it
  std::string description;
  std::string sha256;
};

/// A tokenizer.json's pipeline: find added tokens, normalise, split into pieces, merge.
class BpeTokenizer : public Tokenizer {
 public:
  /// @throws Error(kFormat) when the parts contradict each other
  BpeTokenizer(BpeTokenizerParts parts, const TokenizerConfig& config);

  std::vector<TokenId> encode(std::string_view text, bool parse_special,
                              bool add_special) const override;
  const TokenPiece& piece(TokenId id) const override;
  const DecodeRules& decode_rules() const override { return parts_.decode_rules; }
  int64_t vocab_size() const override { return static_cast<int64_t>(pieces_.size()); }
  bool is_special(TokenId id) const override;
  std::optional<TokenId> bos_token_id() const override { return bos_; }
  std::optional<TokenId> eos_token_id() const override { return eos_; }
  std::optional<TokenId> token_id(std::string_view token) const override;
  std::string description() const override { return parts_.description; }
  const std::string& sha256() const override { return parts_.sha256; }

 private:
  void encode_section(std::string_view text, bool parse_special, bool starts_input,
                      std::vector<TokenId>& ids) const;
  TokenPiece decoded_piece(std::string_view token) const;

  BpeTokenizerParts parts_;
  AddedTokenFinder raw_finder_;         // in the text as it comes
  AddedTokenFinder normalized_finder_;  // in the normalised text
  StringMap<TokenId> added_ids_;
  std::vector<TokenPiece> pieces_;  // by id
  std::vector<bool> special_;       // by id
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
};

}  // namespace surprisal
