#include "models/kv_cache.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>

#include "lib/error.h"
#include "tests/thrown.h"

namespace surprisal {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.num_hidden_layers = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 2;
  return config;
}

constexpr int64_t kBlock = KVCache::kBlockTokens;

class Cache : public ::testing::Test {
 protected:
  /// Appends tokens as the model does: each place gets its token's value in every layer.
  void append(KVCache::SequenceId sequence, const std::vector<float>& tokens) {
    ASSERT_TRUE(cache_.reserve(sequence, static_cast<int64_t>(tokens.size())));
    for (size_t i = 0; i < tokens.size(); ++i) {
      const int64_t position = cache_.length(sequence) + static_cast<int64_t>(i);
      const int64_t block = cache_.blocks(sequence)[static_cast<size_t>(position / kBlock)];
      for (int64_t layer = 0; layer < 2; ++layer) {
        cache_.keys(layer)[block].select(1, position % kBlock).fill_(tokens[i]);
        cache_.values(layer)[block].select(1, position % kBlock).fill_(-tokens[i]);
      }
    }
    cache_.advance(sequence, static_cast<int64_t>(tokens.size()));
  }

  std::vector<float> content(KVCache::SequenceId sequence) const {
    std::vector<float> tokens;
    for (int64_t position = 0; position < cache_.length(sequence); ++position) {
      const int64_t block = cache_.blocks(sequence)[static_cast<size_t>(position / kBlock)];
      const float key = cache_.keys(1)[block][0][position % kBlock][0].item<float>();
      EXPECT_EQ(key, -cache_.values(0)[block][0][position % kBlock][1].item<float>());
      tokens.push_back(key);
    }
    return tokens;
  }

  KVCache cache_{small_config(), 12, at::kFloat, at::kCPU};
};

TEST(CacheLayouts, WhatIsPutIsFoundAndCopiedWithTheBlock) {
  ModelConfig config = small_config();
  config.num_key_value_heads = 3;
  config.head_dim = 8;
  const int64_t tokens = kBlock + 5;
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
    SCOPED_TRACE(c10::toString(dtype));
    KVCache cache(config, 4, dtype, at::kCPU);
    const auto a = cache.create();
    ASSERT_TRUE(cache.reserve(a, tokens));
    std::vector<int64_t> blocks, offsets;
    for (int64_t position = 0; position < tokens; ++position) {
      blocks.push_back(cache.blocks(a)[static_cast<size_t>(position / kBlock)]);
      offsets.push_back(position % kBlock);
    }
    const at::Tensor keys = at::randn({tokens, 3, 8}), values = at::randn({tokens, 3, 8});
    cache.put(1, at::tensor(blocks), at::tensor(offsets), keys, values);
    cache.advance(a, tokens);
    const auto b = cache.fork(a);
    ASSERT_TRUE(cache.reserve(b, 1));
    ASSERT_NE(cache.blocks(a)[1], cache.blocks(b)[1]);
    for (const auto sequence : {a, b}) {
      const at::Tensor numbers = at::tensor(cache.blocks(sequence));
      for (const auto& [stored, put] :
           {std::pair{cache.keys(1), keys}, std::pair{cache.values(1), values}}) {
        const at::Tensor found = stored.index_select(0, numbers)
                                     .view({-1, 3, kBlock, 8})
                                     .transpose(1, 2)
                                     .reshape({-1, 3, 8})
                                     .narrow(0, 0, tokens);
        EXPECT_TRUE(found.equal(put.to(dtype)));
      }
    }
  }
}

TEST(CacheLayouts, NumbersLieAsTheKernelsReadThem) {
  ModelConfig config = small_config();
  config.head_dim = 4;
  const at::Tensor place = at::tensor({0}, at::kLong), offset = at::tensor({3}, at::kLong);
  const at::Tensor key = at::tensor({1, 2, 3, 4}, at::kFloat).view({1, 1, 4}), value = -key;
  const auto put = [&](KVCache& cache) { cache.put(0, place, offset, key, value); };
  KVCache floats(config, 1, at::kFloat, at::kCPU);
  put(floats);
  KVCache pairs(config, 1, at::kBFloat16, at::kCPU);
  put(pairs);
  for (int64_t d = 0; d < 4; ++d) {
    EXPECT_EQ(floats.keys(0).data_ptr<float>()[d * kBlock + 3], d + 1);
    EXPECT_EQ(floats.values(0).data_ptr<float>()[3 * 4 + d], -d - 1);
    EXPECT_EQ(pairs.keys(0).data_ptr<at::BFloat16>()[(d / 2 * kBlock + 3) * 2 + d % 2], d + 1);
    EXPECT_EQ(pairs.values(0).data_ptr<at::BFloat16>()[(3 / 2 * 4 + d) * 2 + 3 % 2], -d - 1);
  }
}

TEST_F(Cache, ForksShareBlocksUntilOneIsWritten) {
  const auto a = cache_.create();
  append(a, std::vector<float>(static_cast<size_t>(kBlock) + 3, 1));
  const auto b = cache_.fork(a);
  EXPECT_EQ(cache_.free_blocks(), 10);
  EXPECT_EQ(cache_.blocks_needed(b, 1), 1) << "the shared last block is copied";
  append(b, {2});
  EXPECT_EQ(cache_.blocks(a)[0], cache_.blocks(b)[0]);
  EXPECT_NE(cache_.blocks(a)[1], cache_.blocks(b)[1]);
  EXPECT_EQ(cache_.blocks_needed(a, 1), 0) << "it is a's alone now";
  append(a, {3});
  EXPECT_EQ(content(a).back(), 3);
  EXPECT_EQ(content(b).back(), 2);
  cache_.release(a);
  EXPECT_EQ(content(b).front(), 1);
  cache_.release(b);
  EXPECT_EQ(cache_.free_blocks(), 12);
}

TEST_F(Cache, AFullBlockIsNotCopied) {
  const auto a = cache_.create();
  append(a, std::vector<float>(static_cast<size_t>(kBlock), 1));
  const auto b = cache_.fork(a);
  EXPECT_EQ(cache_.blocks_needed(b, 1), 1);
  append(b, {2});
  EXPECT_EQ(cache_.blocks(a)[0], cache_.blocks(b)[0]);
}

// Attention reads a sequence's blocks in order, memory best forwards.
TEST_F(Cache, BlocksOfALayerLieSideBySideAndAreTakenInOrder) {
  const at::Tensor& keys = cache_.keys(1);
  EXPECT_EQ(keys.stride(0), keys[0].numel() + cache_.values(1)[0].numel());
  for (int round = 0; round < 3; ++round) {
    const auto sequence = cache_.create();
    ASSERT_TRUE(cache_.reserve(sequence, 4 * kBlock));
    for (int64_t block = 0; block < 4; ++block) {
      EXPECT_EQ(cache_.blocks(sequence)[static_cast<size_t>(block)], block) << round;
    }
    cache_.release(sequence);
  }
}

TEST_F(Cache, AForkAfterReservingStillProtectsBoth) {
  const auto a = cache_.create();
  append(a, {1, 1, 1});
  ASSERT_TRUE(cache_.reserve(a, 20));
  const auto b = cache_.fork(a);
  append(b, {2});
  append(a, {3});
  EXPECT_EQ(content(a), (std::vector<float>{1, 1, 1, 3}));
  EXPECT_EQ(content(b), (std::vector<float>{1, 1, 1, 2}));
}

TEST_F(Cache, AFullCacheRefusesAndChangesNothing) {
  const auto a = cache_.create();
  append(a, std::vector<float>(static_cast<size_t>(11 * kBlock + 1), 1));
  const auto b = cache_.fork(a);
  EXPECT_EQ(cache_.free_blocks(), 0);
  EXPECT_FALSE(cache_.reserve(b, 1));
  EXPECT_FALSE(cache_.reserve(a, kBlock));
  EXPECT_EQ(cache_.blocks(a).size(), 12u);
  cache_.release(b);
  EXPECT_TRUE(cache_.reserve(a, 1));
}

TEST_F(Cache, RandomWorkMatchesPlainVectors) {
  std::mt19937 generator(4);
  std::map<KVCache::SequenceId, std::vector<float>> expected;
  float next = 1;
  for (int step = 0; step < 1500; ++step) {
    const auto pick = [&] {
      auto item = expected.begin();
      std::advance(item, generator() % expected.size());
      return item;
    };
    const unsigned action = generator() % 8;
    if (expected.empty() || action == 0) {
      expected[cache_.create()];
    } else if (action == 1 && expected.size() < 8) {
      const auto source = pick();
      expected[cache_.fork(source->first)] = source->second;
    } else if (action == 2) {
      const auto item = pick();
      const size_t length = generator() % (item->second.size() + 1);
      cache_.truncate(item->first, static_cast<int64_t>(length));
      item->second.resize(length);
    } else if (action == 3) {
      const auto item = pick();
      cache_.release(item->first);
      expected.erase(item);
    } else {
      const auto item = pick();
      const auto count = static_cast<int64_t>(generator() % 20 + 1);
      if (cache_.blocks_needed(item->first, count) > cache_.free_blocks()) continue;
      std::vector<float> tokens;
      for (int64_t i = 0; i < count; ++i) tokens.push_back(next++);
      append(item->first, tokens);
      item->second.insert(item->second.end(), tokens.begin(), tokens.end());
    }
    if (step % 10 != 0) continue;
    for (const auto& [sequence, tokens] : expected) {
      ASSERT_EQ(content(sequence), tokens);
    }
  }
  for (const auto& [sequence, tokens] : expected) cache_.release(sequence);
  EXPECT_EQ(cache_.free_blocks(), cache_.capacity_blocks()) << "no block leaks";
}

TEST_F(Cache, MisuseIsNamed) {
  const auto a = cache_.create();
  test::thrown(ErrorCode::kInternal, [&] { cache_.length(a + 1); });
  test::thrown(ErrorCode::kInternal, [&] { cache_.truncate(a, 1); });
  test::thrown(ErrorCode::kInternal, [&] { cache_.advance(a, 1); });
  cache_.release(a);
  test::thrown(ErrorCode::kInternal, [&] { cache_.fork(a); });
}

TEST(CacheSize, BytesPerBlockAreThoseOfItsTensors) {
  const KVCache cache(small_config(), 3, at::kHalf, at::kCPU);
  int64_t bytes = 0;
  for (int64_t layer = 0; layer < 2; ++layer)
    bytes += static_cast<int64_t>(cache.keys(layer).nbytes() + cache.values(layer).nbytes());
  EXPECT_EQ(3 * KVCache::bytes_per_block(small_config(), at::kHalf), bytes);
}

}  // namespace
}  // namespace surprisal
