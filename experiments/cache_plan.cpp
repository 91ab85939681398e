#include "experiments/cache_plan.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr size_t kRememberedPrompts = 8;
/// More than any batch needs; bounds the bookkeeping of tiny models on large machines.
constexpr int64_t kMostBlocks = int64_t{1} << 20;
/// Waiting a pass must save at least this many tokens of reading.
constexpr int64_t kWorthWaiting = 64;

/// Bytes the machine could give now (Linux: MemAvailable).
int64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  int64_t kib = 0;
  while (file >> key >> kib && std::getline(file, unit))
    if (key == "MemAvailable:") return kib * 1024;
  return int64_t{4} << 30;
}

int64_t cache_blocks(const Model& model, int64_t memory_bytes) {
  if (memory_bytes == 0)
    memory_bytes = model.device().is_cpu() ? available_memory() / 2 : int64_t{8} << 30;
  const int64_t blocks =
      memory_bytes / KVCache::bytes_per_block(model.config(), model.cache_dtype());
  if (blocks < 2)
    throw Error(ErrorCode::kConfig,
                "engine: " + std::to_string(memory_bytes) +
                    " bytes of cache memory hold less than two blocks of 16 tokens; give it more");
  return std::min(blocks, kMostBlocks);
}

int64_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  return std::ranges::mismatch(a, b).in1 - a.begin();
}

/// Some node at or below `node` that holds a sequence; its first `node.end` tokens are node's
/// context.
const TokenNode* holder_below(const TokenNode& node) {
  std::vector<const TokenNode*> pending = {&node};
  while (!pending.empty()) {
    const TokenNode* at = pending.back();
    pending.pop_back();
    if (at->sequence >= 0) return at;
    pending.insert(pending.end(), at->children.begin(), at->children.end());
  }
  return nullptr;
}

}  // namespace

CachePlan::CachePlan(const Model& model, int64_t memory_bytes, bool sharing)
    : sharing_(sharing),
      bytes_per_block_(KVCache::bytes_per_block(model.config(), model.cache_dtype())),
      cache_(model.config(), cache_blocks(model, memory_bytes), model.cache_dtype(),
             model.device()) {}

void CachePlan::hold(TokenNode& node, KVCache::SequenceId sequence) {
  try {
    holders_.insert(&node);
  } catch (...) {
    cache_.release(sequence);
    throw;
  }
  node.sequence = sequence;
}

void CachePlan::hand_on(TokenNode& from, TokenNode& to) {
  auto entry = holders_.extract(&from);
  entry.value() = &to;
  holders_.insert(std::move(entry));
  to.sequence = std::exchange(from.sequence, -1);
}

void CachePlan::drop(TokenNode& node) {
  cache_.release(node.sequence);
  node.sequence = -1;
  holders_.erase(&node);
}

CachePlan::Source CachePlan::find_prompt_source(std::span<const TokenId> prompt) const {
  Source best;
  if (!sharing_) return best;
  const auto consider = [&](std::span<const TokenId> tokens, KVCache::SequenceId sequence) {
    const int64_t length =
        std::min({common_prefix(prompt, tokens), cache_.length(sequence),
                  static_cast<int64_t>(prompt.size()) - 1});  // the last token is always fed
    if (length > best.length) best = {sequence, length};
  };
  for (const Prompt& kept : prompts_) consider(kept.tokens, kept.sequence);
  std::set<const TokenTree*> seen;
  for (const TokenNode* holder : holders_)
    if (seen.insert(holder->tree).second || holder->parent == nullptr)
      consider(holder->tree->prompt(), holder->sequence);
  return best;
}

CachePlan::Source CachePlan::find_source(const TokenNode& node) const {
  if (const TokenNode* holder = holder_below(node); holder != nullptr && holder != &node)
    return {holder->sequence, std::min(cache_.length(holder->sequence), node.end - 1)};
  for (const TokenNode* above = node.parent; above != nullptr; above = above->parent)
    if (const TokenNode* holder = holder_below(*above))
      return {holder->sequence, std::min(cache_.length(holder->sequence), above->end)};
  return find_prompt_source(node.tree->prompt());
}

void CachePlan::acquire(TokenNode& node) {
  if (node.sequence >= 0) {
    if (cache_.length(node.sequence) >= node.end) cache_.truncate(node.sequence, node.end - 1);
    return;
  }
  TokenNode* parent = node.parent;
  if (parent != nullptr && parent->sequence >= 0 &&
      cache_.length(parent->sequence) == parent->end && parent->waiting == 0) {
    return hand_on(*parent, node);  // the usual case: the sequence just grows
  }
  const Source source = find_source(node);
  if (source.length == 0) {
    hold(node, cache_.create());
    return;
  }
  hold(node, cache_.fork(source.sequence));
  cache_.truncate(node.sequence, source.length);
}

bool CachePlan::reclaim(TokenNode& node, int64_t count, std::span<TokenNode* const> victims) {
  const auto enough = [&] {
    return cache_.blocks_needed(node.sequence, count) <= cache_.free_blocks();
  };
  while (!enough() && !prompts_.empty()) {
    cache_.release(prompts_.front().sequence);
    prompts_.pop_front();
  }
  if (!enough()) {
    std::vector<TokenNode*> idle;
    for (TokenNode* holder : holders_)
      // A cursor may stand at a node without waiting for it: the end of a finished branch.
      if (holder->wanted_in != pass_) idle.push_back(holder);
    std::ranges::sort(idle, {}, &TokenNode::last_used);
    for (TokenNode* holder : idle) {
      if (enough()) break;
      drop(*holder);
    }
  }
  for (size_t i = victims.size(); i-- > 0 && !enough();)
    if (victims[i] != &node && victims[i]->sequence >= 0) drop(*victims[i]);
  return enough();
}

std::vector<TokenId> CachePlan::prepare(TokenNode& node, int64_t most,
                                        std::span<TokenNode* const> victims) {
  acquire(node);
  const int64_t length = cache_.length(node.sequence);
  std::vector<TokenId> tokens = node.tree->path(node, length);
  if (static_cast<int64_t>(tokens.size()) > most) tokens.resize(static_cast<size_t>(most));
  const auto count = static_cast<int64_t>(tokens.size());
  if (cache_.blocks_needed(node.sequence, count) > cache_.free_blocks() &&
      !reclaim(node, count, victims)) {
    return {};
  }
  cache_.reserve(node.sequence, count);
  return tokens;
}

bool CachePlan::worth_waiting(const TokenNode& node, std::span<TokenNode* const> chosen) const {
  if (!sharing_ || node.parent != nullptr || node.sequence >= 0) return false;
  const auto prompt = node.tree->prompt();
  const int64_t at_hand = find_prompt_source(prompt).length;
  return std::ranges::any_of(chosen, [&](const TokenNode* other) {
    return other->parent == nullptr &&
           common_prefix(prompt, other->tree->prompt()) > at_hand + kWorthWaiting;
  });
}

void CachePlan::clear() noexcept {
  for (TokenNode* holder : holders_) {
    cache_.release(holder->sequence);
    holder->sequence = -1;
  }
  holders_.clear();
  for (const Prompt& kept : prompts_) cache_.release(kept.sequence);
  prompts_.clear();
}

void CachePlan::release(TokenTree& tree) {
  for (TokenNode& node : tree.nodes()) {
    if (node.sequence < 0) continue;
    const auto prompt = tree.prompt();
    const auto length = static_cast<int64_t>(prompt.size());
    const bool remembered = std::ranges::any_of(
        prompts_, [&](const Prompt& kept) { return std::ranges::equal(kept.tokens, prompt); });
    if (sharing_ && !remembered && cache_.length(node.sequence) >= length) {
      cache_.truncate(node.sequence, length);
      prompts_.push_back({{prompt.begin(), prompt.end()}, node.sequence});
      node.sequence = -1;
      holders_.erase(&node);
    } else {
      drop(node);
    }
  }
  while (prompts_.size() > kRememberedPrompts) {
    cache_.release(prompts_.front().sequence);
    prompts_.pop_front();
  }
}

}  // namespace surprisal
