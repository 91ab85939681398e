#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/tokenizer.h"

namespace surprisal {

/// A token that is looked for in the text itself, before any splitting and merging.
struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the spaces before it along
  bool rstrip = false;       ///< and those after it
  bool normalized = false;   ///< looked for in the normalised text, in its own normalised form
  bool special = false;
};

/// A stretch of text: one added token, or what lies between two.
struct TextSection {
  std::string_view text;
  std::optional<TokenId> token;
};

/// Finds added tokens in text: leftmost first, the longest that begins there, never overlapping
/// (tokenizers tokenizer/added_vocabulary.rs@3ba8ad0).
class AddedTokenFinder {
 public:
  /// @param pattern  the text that stands for the token; 1 to kMaxPatternBytes bytes
  /// @throws Error(kFormat) on a pattern of another length, or one already there
  void add(std::string_view pattern, const AddedToken& token);

  /// @param parse_special  false: special tokens are left in the text (others still count)
  /// @return sections that cover the text in order; none is empty
  std::vector<TextSection> split(std::string_view text, bool parse_special) const;

  /// Bounds the work per byte of text that a hostile tokenizer can ask for.
  static constexpr size_t kMaxPatternBytes = 1024;

 private:
  struct Match {
    size_t length;
    const AddedToken* token;
  };
  std::optional<Match> longest_match(std::string_view text) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: nodes are numbered, node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> children_;  // by node and byte
  std::unordered_map<uint32_t, size_t> token_at_;    // index of the token that ends at a node
  std::array<bool, 256> may_start_{};
  uint32_t nodes_ = 1;
};

}  // namespace surprisal
