#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/tokenizer.h"

namespace surprisal {

/// Looks strings up without making a std::string of the key.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// GPT-2's map between bytes and printable characters, in which byte-level vocabularies are written
/// (openai/gpt-2 src/encoder.py).
class ByteAlphabet {
 public:
  /// The character that stands for a byte, in UTF-8.
  static std::string_view character(unsigned char byte);
  static std::string text(std::string_view bytes);
  /// The bytes that a token's text stands for, or nothing when some character stands for none.
  static std::optional<std::string> bytes(std::string_view text);
};

/// Byte-pair encoding with a fixed list of merges, as `tokenizers` 0.23 does it
/// (models/bpe/{model,word}.rs@3ba8ad0): the pair of lowest rank merges first, leftmost on ties.
class BpeModel {
 public:
  struct Options {
    bool byte_level = false;     ///< symbols are bytes, written in the ByteAlphabet
    bool ignore_merges = false;  ///< a piece that is a token as a whole is that token
    bool byte_fallback = false;  ///< a character outside the vocabulary becomes tokens <0xXX>
    bool fuse_unknown = false;   ///< a run of unknown characters becomes one unknown token
    std::optional<TokenId> unknown = {};  ///< without one, unknown characters vanish
  };

  /// @param merges  pairs of token texts, best first
  /// @throws Error(kFormat) when a merge's parts or result are no tokens
  BpeModel(StringMap<TokenId> vocabulary,
           const std::vector<std::pair<std::string, std::string>>& merges, const Options& options);

  std::optional<TokenId> find(std::string_view token) const;
  const StringMap<TokenId>& vocabulary() const { return vocabulary_; }
  bool byte_level() const { return options_.byte_level; }

  /// Appends the ids of one piece. O(n log n) in its length.
  /// @param piece  UTF-8, not empty
  void encode(std::string_view piece, std::vector<TokenId>& ids) const;

 private:
  struct Merge {
    uint32_t rank;
    TokenId result;
  };

  std::vector<TokenId> symbols(std::string_view piece) const;
  std::vector<TokenId> merge(std::vector<TokenId> ids) const;
  std::optional<TokenId> byte_id(char byte) const;
  const Merge* find_merge(TokenId left, TokenId right) const;

  StringMap<TokenId> vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;        // by both ids
  std::array<std::optional<TokenId>, 256> byte_ids_;  // of one byte: "<0xXX>" or byte-level
  Options options_;
};

}  // namespace surprisal
