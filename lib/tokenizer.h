#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace surprisal {

using TokenId = int32_t;

/// What one token contributes to a text.
struct TokenPiece {
  std::string bytes = {};  ///< may be part of a character
  bool fallback = false;   ///< one byte of a character that the vocabulary lacks ("<0xE2>")
  bool skippable = false;  ///< left out when special tokens are
};

/// How the pieces of a sequence become text (the decoder of its tokenizer.json).
struct DecodeRules {
  /// Fallback bytes in a row are text only if all of them together are UTF-8; else each is U+FFFD.
  /// (Bytes elsewhere that are not UTF-8 become U+FFFD per maximal subpart.)
  bool whole_fallback_runs = false;
  /// Spaces taken from the beginning of the text, at most.
  size_t leading_spaces_dropped = 0;
};

/// Text to token ids and back, exactly as the model's own tokenizer does it. Const and shareable
/// between threads after loading.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// @param parse_special  true: text that spells a special token becomes that token; false: it is
  ///                       ordinary text. (Added tokens that are not special always count, as in
  ///                       Hugging Face `tokenizers` with encode_special_tokens.)
  /// @param add_special    true: what the tokenizer adds by itself (BOS, per its post-processor).
  /// Bytes that are not UTF-8 are encoded as documented in lib/README.md.
  virtual std::vector<TokenId> encode(std::string_view text, bool parse_special,
                                      bool add_special) const = 0;

  /// The text of the ids: always UTF-8; what is not becomes U+FFFD.
  /// @throws Error(kConfig) on an id outside the vocabulary
  std::string decode(std::span<const TokenId> ids, bool skip_special = false) const;

  /// The part of a text that one id is. An id that the tokenizer leaves without a token is empty.
  /// @throws Error(kConfig) on an id outside the vocabulary
  virtual const TokenPiece& piece(TokenId id) const = 0;
  virtual const DecodeRules& decode_rules() const = 0;

  /// One more than the highest id that decode() takes.
  virtual int64_t vocab_size() const = 0;
  virtual bool is_special(TokenId id) const = 0;
  virtual std::optional<TokenId> bos_token_id() const = 0;
  virtual std::optional<TokenId> eos_token_id() const = 0;
  /// The id of a token by its exact text (added and special tokens first).
  virtual std::optional<TokenId> token_id(std::string_view token) const = 0;
  /// "byte-level BPE (smollm)", ...: for people.
  virtual std::string description() const = 0;
  /// SHA-256 of the tokenizer's defining file.
  virtual const std::string& sha256() const = 0;
};

/// Loads the tokenizer of a Hugging Face folder (tokenizer.json or tokenizer.model, with
/// tokenizer_config.json / special_tokens_map.json). @throws Error(kIo, kFormat, kUnsupported)
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& folder);

/// Decodes a growing sequence and never emits half a UTF-8 character: bytes that may still become
/// one are held back until they do, or are replaced by U+FFFD at the end. All that push() and
/// finish() return, put together, is decode() of the ids. Each id is looked at once.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(&tokenizer),
        rules_(tokenizer.decode_rules()),
        skip_special_(skip_special),
        leading_spaces_(rules_.leading_spaces_dropped) {}

  /// The text that has become certain by adding `id`.
  /// @throws Error(kConfig) on an id outside the vocabulary
  std::string push(TokenId id);
  /// What was still held back.
  std::string finish();

 private:
  std::string settle(bool at_end);
  std::string settle_fallback_run();
  std::string drop_leading_spaces(std::string text);

  const Tokenizer* tokenizer_;
  DecodeRules rules_;
  bool skip_special_;
  size_t leading_spaces_;  // that may still be dropped
  std::string pending_;    // bytes that are not yet certain
};

}  // namespace surprisal
