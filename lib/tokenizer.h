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

/// Text to token ids and back, exactly as the model's own tokenizer does it. Const and shareable
/// between threads after loading.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// @param parse_special  true: text that spells an added or special token becomes that token (as
  ///                       Hugging Face does); false: it is ordinary text.
  /// @param add_special    true: what the tokenizer adds by itself (BOS, per its post-processor).
  /// Bytes that are not UTF-8 are encoded as documented in lib/README.md.
  virtual std::vector<TokenId> encode(std::string_view text, bool parse_special,
                                      bool add_special) const = 0;

  /// The bytes of the ids. May end in half a UTF-8 character: see TextStream.
  /// @throws Error(kConfig) on an id outside the vocabulary
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special = false) const = 0;

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
/// one are held back until they do, or are replaced by U+FFFD at the end.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special = false)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  /// The text that has become certain by adding `id`.
  std::string push(TokenId id);
  /// What was still held back.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::vector<TokenId> ids_;
  size_t emitted_bytes_ = 0;
};

}  // namespace surprisal
