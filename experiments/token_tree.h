#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "experiments/sample.h"
#include "lib/attention_statistics.h"
#include "lib/distribution.h"
#include "lib/tokenizer.h"
#include "models/kv_cache.h"
#include "samplers/row_cache.h"
#include "samplers/sampler.h"

namespace surprisal {

/// What the model said after a context: everything that depends on the context alone, computed once
/// and shared by all requests that come by.
struct Evaluation {
  std::span<const float> logits;  ///< [V]; empty: not known, or forgotten
  at::Tensor pass_logits;         ///< of which `logits` is a row; see RememberedLogits
  DistributionStatistics statistics;
  mutable RowCache shared;  ///< what samplers found out about `logits`
  bool has_attention = false;
  std::vector<float> attention_per_head;   ///< [L, H, kHeadStatistics]
  std::vector<float> attention_per_layer;  ///< [L, kLayerStatistics]
  AttentionStatistics attention;           ///< a view of the two
  AttentionMeans means;
  std::vector<uint16_t> maps_f16;  ///< [L, H, S] of the last token, half precision; empty: unknown
  int64_t padded_slots = 0;        ///< 0: `padded` is not known
  PaddedAttentionStatistics padded;

  /// Whether it is known, and with it everything that `needs` asks for.
  bool serves(const Needs& needs) const {
    return !logits.empty() && (!needs.attention || has_attention) &&
           padded_slots >= needs.padded_slots;
  }
};

class TokenTree;

/// A token in its context. The root of a tree holds a whole prompt.
struct TokenNode {
  TokenTree* tree = nullptr;
  TokenNode* parent = nullptr;
  TokenId token = -1;  ///< the last token of the node
  int64_t begin = 0;   ///< context positions [begin, end) are this node's
  int64_t end = 0;
  std::vector<TokenNode*> children;   ///< owned by the tree
  KVCache::SequenceId sequence = -1;  ///< a cache sequence that ends in this node; -1: none
  Evaluation evaluation;
  std::optional<NodeRecord> trace;  ///< made when the first request passes
  int64_t waiting = 0;              ///< requests whose cursor stands here
  uint64_t wanted_in = 0;           ///< the last forward pass for which somebody waited here
  uint64_t last_used = 0;           ///< number of the forward pass, to forget the stalest first
};

/// Requests with the same prompt walk the same tree.
class TokenTree {
 public:
  /// @param position_gap  what follows the prompt is rotated one position late (Needs)
  explicit TokenTree(std::vector<TokenId> prompt, bool position_gap = false);
  TokenTree(const TokenTree&) = delete;
  TokenTree& operator=(const TokenTree&) = delete;

  TokenNode& root() { return nodes_.front(); }
  std::span<const TokenId> prompt() const { return prompt_; }
  bool position_gap() const { return position_gap_; }
  /// The child of `node` that goes on with `token`, made if need be.
  TokenNode& child(TokenNode& node, TokenId token);
  /// Tokens of context positions [from, node.end) on the path to `node`.
  std::vector<TokenId> path(const TokenNode& node, int64_t from) const;
  /// All nodes, parents before children.
  std::deque<TokenNode>& nodes() { return nodes_; }

  int64_t requests = 0;  ///< unfinished requests on this tree

 private:
  std::vector<TokenId> prompt_;
  bool position_gap_;
  std::deque<TokenNode>
      nodes_;  // stable addresses; flat, so that long answers need no deep recursion
};

}  // namespace surprisal
