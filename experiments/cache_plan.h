#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <vector>

#include "experiments/token_tree.h"
#include "models/model.h"

namespace surprisal {

/// Which node of which tree holds which cache sequence. Finds the longest part of a node's context
/// that is already in the cache (its own tree's, or the common beginning of another prompt), forks
/// it, and makes room by forgetting what is needed last.
class CachePlan {
 public:
  /// @param memory_bytes  for keys and values; 0 = a share of the memory that is free now
  /// @param sharing       trees take over what others have read of a common beginning; otherwise
  ///                      every tree reads its prompt itself
  CachePlan(const Model& model, int64_t memory_bytes, bool sharing);

  /// A forward pass is about to be put together. Nodes that somebody waits for must carry its
  /// number in `wanted_in`; what all others hold may be taken away.
  void begin_pass(uint64_t pass) { pass_ = pass; }

  /// Gets `node` ready for a forward pass: afterwards node.sequence has room for the returned
  /// tokens, the next of its context (at most `most`). Empty: no memory now.
  /// @param victims  nodes whose sequences may be taken away, the first to go last in the list
  std::vector<TokenId> prepare(TokenNode& node, int64_t most, std::span<TokenNode* const> victims);

  /// True when a prompt being read in this very pass shares so much with `node`, a prompt not
  /// begun, that waiting for it is cheaper than reading the common part twice.
  bool worth_waiting(const TokenNode& node, std::span<TokenNode* const> chosen) const;

  /// Forgets everything; allocates nothing, so it serves after a failed allocation.
  void clear() noexcept;

  /// Forgets a tree's sequences, but keeps its prompt for later ones that begin alike.
  void release(TokenTree& tree);

  KVCache& cache() { return cache_; }
  int64_t used_bytes() const {
    return (cache_.capacity_blocks() - cache_.free_blocks()) * bytes_per_block_;
  }
  /// Tokens the cache can hold over all sequences.
  int64_t capacity_tokens() const { return cache_.capacity_blocks() * KVCache::kBlockTokens; }

 private:
  struct Prompt {
    std::vector<TokenId> tokens;
    KVCache::SequenceId sequence;
  };
  struct Source {
    KVCache::SequenceId sequence = -1;
    int64_t length = 0;  ///< tokens of it that serve
  };

  Source find_source(const TokenNode& node) const;
  Source find_prompt_source(std::span<const TokenId> prompt) const;
  void acquire(TokenNode& node);
  bool reclaim(TokenNode& node, int64_t count, std::span<TokenNode* const> victims);
  void hold(TokenNode& node, KVCache::SequenceId sequence);
  void hand_on(TokenNode& from, TokenNode& to);
  void drop(TokenNode& node);

  bool sharing_;
  uint64_t pass_ = 0;
  int64_t bytes_per_block_;
  KVCache cache_;
  std::set<TokenNode*> holders_;  // nodes with a sequence
  std::deque<Prompt> prompts_;    // of trees that are gone, oldest first
};

}  // namespace surprisal
