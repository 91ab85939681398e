#include "experiments/remembered_logits.h"

#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "experiments/walk.h"

namespace surprisal {
namespace {

constexpr int64_t kVocabulary = 3;

/// A pass over four children of a root; row i of pass n has the logits 100 n + 3 i and up.
class RememberedLogitsTest : public testing::Test {
 protected:
  std::vector<TokenNode*> pass(RememberedLogits& remembered, int64_t number, size_t skipped = 4) {
    std::vector<TokenNode*> nodes;
    for (TokenId token = 0; token < 4; ++token)
      nodes.push_back(&tree_.child(tree_.root(), static_cast<TokenId>(10 * number) + token));
    std::vector<TokenNode*> given = nodes;
    if (skipped < given.size()) given[skipped] = nullptr;
    remembered.add(logits(number), given);
    return nodes;
  }
  static at::Tensor logits(int64_t number) {
    return at::arange(100 * number, 100 * number + 4 * kVocabulary, at::kFloat)
        .view({4, kVocabulary});
  }
  static void expect_row(const TokenNode& node, int64_t number, int64_t row) {
    const at::Tensor expected = logits(number)[row];
    const float* values = expected.const_data_ptr<float>();
    EXPECT_TRUE(std::ranges::equal(node.evaluation.logits, std::span(values, kVocabulary)));
  }

  static constexpr int64_t kPassBytes = 4 * kVocabulary * sizeof(float);
  TokenTree tree_{{1}};
};

TEST_F(RememberedLogitsTest, ContextsHoldTheirRows) {
  RememberedLogits remembered(kPassBytes);
  const auto nodes = pass(remembered, 1, 2);
  for (const int64_t row : {0, 1, 3}) expect_row(*nodes[static_cast<size_t>(row)], 1, row);
  EXPECT_TRUE(nodes[2]->evaluation.logits.empty());
}

TEST_F(RememberedLogitsTest, TheOldestPassesGoFirst) {
  RememberedLogits remembered(2 * kPassBytes);
  const auto first = pass(remembered, 1), second = pass(remembered, 2), third = pass(remembered, 3);
  remembered.shrink();
  for (const TokenNode* node : first) EXPECT_TRUE(node->evaluation.logits.empty());
  for (size_t i = 0; i < 4; ++i) {
    expect_row(*second[i], 2, static_cast<int64_t>(i));
    expect_row(*third[i], 3, static_cast<int64_t>(i));
  }
}

TEST_F(RememberedLogitsTest, WhereSomebodyWaitsItStaysWithoutTheRestOfItsPass) {
  RememberedLogits remembered(0);
  const auto nodes = pass(remembered, 1);
  std::optional<NodeLease> one(*nodes[1]), another(*nodes[3]), third(*nodes[0]);
  int64_t newest = 1;
  const auto shrink = [&] {  // but for the newest
    pass(remembered, ++newest);
    remembered.shrink();
  };
  shrink();
  EXPECT_TRUE(nodes[2]->evaluation.logits.empty());
  EXPECT_EQ(nodes[1]->evaluation.pass_logits.size(0), 4);  // most of it is in use
  third.reset();
  shrink();
  EXPECT_TRUE(nodes[0]->evaluation.logits.empty());
  expect_row(*nodes[1], 1, 1);
  expect_row(*nodes[3], 1, 3);
  EXPECT_EQ(nodes[3]->evaluation.pass_logits.size(0), 2);
  one.reset();
  another.reset();
  shrink();
  EXPECT_TRUE(nodes[1]->evaluation.logits.empty());
  EXPECT_TRUE(nodes[3]->evaluation.logits.empty());
}

TEST_F(RememberedLogitsTest, WhatWasEvaluatedAnewGoesWithItsNewPass) {
  RememberedLogits remembered(kPassBytes);
  const auto nodes = pass(remembered, 1);
  remembered.add(logits(7), nodes);
  remembered.shrink();  // the first pass
  for (size_t i = 0; i < 4; ++i) expect_row(*nodes[i], 7, static_cast<int64_t>(i));
}

TEST_F(RememberedLogitsTest, ATreeThatGoesIsLeftAlone) {
  RememberedLogits remembered(2 * kPassBytes);
  auto other = std::make_unique<TokenTree>(std::vector<TokenId>{2});
  const auto nodes = pass(remembered, 1);
  std::vector<TokenNode*> mixed = {nodes[0], &other->root(), nullptr, nullptr};
  pass(remembered, 2);
  remembered.add(logits(2), mixed);
  remembered.forget(*other);
  other.reset();
  remembered.shrink();
  expect_row(*nodes[0], 2, 0);
  EXPECT_TRUE(nodes[1]->evaluation.logits.empty());
  remembered.forget(tree_);
  const auto fourth = pass(remembered, 4);
  pass(remembered, 5);
  remembered.shrink();  // there is room for two again
  expect_row(*fourth[0], 4, 0);
}

}  // namespace
}  // namespace surprisal
