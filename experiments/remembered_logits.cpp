#include "experiments/remembered_logits.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

namespace surprisal {
namespace {

/// What is there as long as any row is; a buffer may be longer than the pass's rows.
int64_t held_bytes(const at::Tensor& logits) {
  return static_cast<int64_t>(logits.storage().nbytes());
}

}  // namespace

void RememberedLogits::add(const at::Tensor& logits, std::span<TokenNode* const> nodes) {
  Pass pass{logits, {}};
  const auto width = static_cast<size_t>(logits.size(1));
  const auto* row = logits.const_data_ptr<float>();
  for (TokenNode* node : nodes) {
    if (node != nullptr) {
      node->evaluation.pass_logits = logits;
      node->evaluation.logits = {row, width};
      pass.nodes.push_back(node);
    }
    row += width;
  }
  if (pass.nodes.empty()) return;
  bytes_ += held_bytes(logits);
  passes_.push_back(std::move(pass));
}

void RememberedLogits::shrink() {
  const size_t there = passes_.size();
  for (size_t looked_at = 1; bytes_ > allowed_bytes_ && looked_at < there; ++looked_at) {
    const Pass oldest = std::move(passes_.front());
    passes_.pop_front();
    bytes_ -= held_bytes(oldest.logits);
    reduce(oldest);
  }
}

void RememberedLogits::reduce(const Pass& pass) {
  std::vector<TokenNode*> waited_at;
  for (TokenNode* node : pass.nodes) {
    if (!node->evaluation.pass_logits.is_same(pass.logits)) continue;
    if (node->waiting > 0)
      waited_at.push_back(node);
    else
      node->evaluation = {};
  }
  if (waited_at.empty()) return;
  const auto kept = static_cast<int64_t>(waited_at.size());
  if (2 * kept > pass.logits.size(0)) {
    bytes_ += held_bytes(pass.logits);
    passes_.push_back({pass.logits, std::move(waited_at)});
    return;
  }
  const at::Tensor own = at::empty({kept, pass.logits.size(1)}, at::kFloat);
  auto* row = own.mutable_data_ptr<float>();
  for (const TokenNode* node : waited_at) row = std::ranges::copy(node->evaluation.logits, row).out;
  add(own, waited_at);
}

void RememberedLogits::forget(const TokenTree& tree) {
  for (Pass& pass : passes_) {
    std::erase_if(pass.nodes, [&](const TokenNode* node) { return node->tree == &tree; });
    if (pass.nodes.empty()) bytes_ -= held_bytes(pass.logits);
  }
  std::erase_if(passes_, [](const Pass& pass) { return pass.nodes.empty(); });
}

void RememberedLogits::clear() {
  passes_.clear();
  bytes_ = 0;
}

}  // namespace surprisal
