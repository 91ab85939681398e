#include "experiments/token_tree.h"

#include <algorithm>

namespace surprisal {

TokenTree::TokenTree(std::vector<TokenId> prompt, bool position_gap)
    : prompt_(std::move(prompt)), position_gap_(position_gap) {
  TokenNode& node = nodes_.emplace_back();
  node.tree = this;
  node.token = prompt_.back();
  node.end = static_cast<int64_t>(prompt_.size());
}

TokenNode& TokenTree::child(TokenNode& node, TokenId token) {
  for (TokenNode* existing : node.children)
    if (existing->token == token) return *existing;
  TokenNode& made = nodes_.emplace_back();
  made.tree = this;
  made.parent = &node;
  made.token = token;
  made.begin = node.end;
  made.end = node.end + 1;
  node.children.push_back(&made);
  return made;
}

std::vector<TokenId> TokenTree::path(const TokenNode& node, int64_t from) const {
  std::vector<TokenId> tokens;
  const TokenNode* at = &node;
  for (; at->parent != nullptr && at->begin >= from; at = at->parent) tokens.push_back(at->token);
  if (at->parent == nullptr)
    for (int64_t i = at->end; i-- > from;) tokens.push_back(prompt_[static_cast<size_t>(i)]);
  std::reverse(tokens.begin(), tokens.end());
  return tokens;
}

}  // namespace surprisal
