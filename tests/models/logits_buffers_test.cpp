#include "models/logits_buffers.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

namespace surprisal {
namespace {

constexpr int64_t kWidth = 5;

TEST(LogitsBuffers, WhatSomebodyHoldsIsNotUsedAgain) {
  LogitsBuffers buffers;
  const at::Tensor first = buffers.take(4, kWidth);
  first.fill_(1);
  at::Tensor row = buffers.take(4, kWidth).fill_(2)[3];  // holds all of its pass
  buffers.take(4, kWidth).fill_(3);
  buffers.take(3, kWidth).fill_(4);
  EXPECT_TRUE(at::equal(first, at::full({4, kWidth}, 1.0F)));
  EXPECT_TRUE(at::equal(row, at::full({kWidth}, 2.0F)));
}

TEST(LogitsBuffers, WhatNobodyHoldsIs) {
  LogitsBuffers buffers;
  const void* const memory = buffers.take(4, kWidth).data_ptr();
  EXPECT_EQ(buffers.take(3, kWidth).data_ptr(), memory);
  const at::Tensor held = buffers.take(4, kWidth);
  EXPECT_EQ(held.data_ptr(), memory);
  EXPECT_EQ(held.sizes(), (at::IntArrayRef{4, kWidth}));
  EXPECT_TRUE(held.is_contiguous());
}

// At most twice what is asked for, so that a few rows do not hold the memory of many.
TEST(LogitsBuffers, AreHardlyLargerThanThePass) {
  LogitsBuffers buffers;
  buffers.take(64, kWidth);
  for (const int64_t rows : {1, 2, 3, 5, 9, 33, 64}) {
    const at::Tensor logits = buffers.take(rows, kWidth);
    EXPECT_EQ(logits.size(0), rows);
    EXPECT_LT(logits.storage().nbytes(), 2 * logits.nbytes());
  }
}

TEST(LogitsBuffers, LogitsOnTheHostAreNotCopied) {
  const at::Tensor logits = at::full({2, kWidth}, 1.0F);
  EXPECT_TRUE(LogitsBuffers().on_host(logits).is_same(logits));
}

}  // namespace
}  // namespace surprisal
