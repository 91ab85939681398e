#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/added_tokens.h"
#include "lib/bpe_model.h"
#include "lib/tokenizer.h"
#include "lib/tokenizer_config.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace surprisal {

/// A tokenizer.model (Llama-2, TinyLlama, Mistral), through the sentencepiece library. Text between
/// special tokens is encoded piece by piece. The prefix space stands before the first of them, or,
/// if the configuration says `legacy`, before each (transformers' two ways of 2023).
class SentencePieceTokenizer : public Tokenizer {
 public:
  /// @param model  the content of tokenizer.model
  /// @param added  added tokens; the model's control tokens are added to them where missing
  /// @throws Error(kFormat) when it is no sentencepiece model
  SentencePieceTokenizer(const std::string& model, std::vector<AddedToken> added,
                         const TokenizerConfig& config);
  ~SentencePieceTokenizer() override;

  /// Whether a file's content can be a sentencepiece model at all (some tokenizer.model files are
  /// tiktoken's).
  static bool looks_like_model(std::string_view content);

  std::vector<TokenId> encode(std::string_view text, bool parse_special,
                              bool add_special) const override;
  const TokenPiece& piece(TokenId id) const override;
  const DecodeRules& decode_rules() const override { return decode_rules_; }
  int64_t vocab_size() const override { return static_cast<int64_t>(pieces_.size()); }
  bool is_special(TokenId id) const override;
  std::optional<TokenId> bos_token_id() const override { return bos_; }
  std::optional<TokenId> eos_token_id() const override { return eos_; }
  std::optional<TokenId> token_id(std::string_view token) const override;
  std::string description() const override;
  const std::string& sha256() const override { return sha256_; }

 private:
  void add_model_tokens(const TokenizerConfig& config, std::vector<AddedToken>& added) const;
  void fill_pieces(const std::vector<AddedToken>& added, int64_t model_vocab_size);

  std::unique_ptr<sentencepiece::SentencePieceProcessor> prefixing_;  // as the model says
  std::unique_ptr<sentencepiece::SentencePieceProcessor> bare_;       // without a prefix space
  AddedTokenFinder finder_;
  StringMap<TokenId> token_ids_;
  std::vector<TokenPiece> pieces_;  // by id
  DecodeRules decode_rules_;
  std::optional<TokenId> bos_;
  std::optional<TokenId> eos_;
  bool legacy_;
  bool add_prefix_space_;
  bool add_bos_;
  bool add_eos_;
  std::string sha256_;
};

}  // namespace surprisal
