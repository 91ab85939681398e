// The forking cache against the plainest one there is: every sequence its own copy of everything.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

#include "lib/error.h"
#include "models/kv_cache.h"

namespace surprisal {
namespace {

constexpr int64_t kBlock = KVCache::kBlockTokens;
constexpr int64_t kBlocks = 10, kLayers = 2;

/// One random script of creating, forking, appending, rewinding and freeing.
class Script {
 public:
  explicit Script(unsigned seed) : random_(seed) {}

  /// @return what differs, or ""
  std::string play(int steps) {
    for (int step = 0; step < steps; ++step) {
      const auto action = random_() % 10;
      if (copies_.empty() || action == 0) {
        copies_[cache_.create()];
      } else if (action <= 2 && copies_.size() < 6) {
        const auto [sequence, tokens] = *any();
        copies_[cache_.fork(sequence)] = tokens;
      } else if (action == 3) {
        const auto item = any();
        const size_t length = random_() % (item->second.size() + 1);
        cache_.truncate(item->first, static_cast<int64_t>(length));
        item->second.resize(length);
      } else if (action == 4) {
        const auto item = any();
        cache_.release(item->first);
        copies_.erase(item);
      } else {
        append(*any());
      }
      if (std::string difference = compare(); !difference.empty())
        return "step " + std::to_string(step) + ": " + difference;
    }
    for (const auto& [sequence, tokens] : copies_) cache_.release(sequence);
    return cache_.free_blocks() == kBlocks ? "" : "a block leaks";
  }

 private:
  using Copies = std::map<KVCache::SequenceId, std::vector<float>>;

  Copies::iterator any() {
    auto item = copies_.begin();
    std::advance(item, random_() % copies_.size());
    return item;
  }

  static ModelConfig config() {
    ModelConfig config;
    config.num_hidden_layers = kLayers;
    config.num_key_value_heads = 1;
    config.head_dim = 2;
    return config;
  }

  /// As a model does; refused where too little is free, which must change nothing.
  void append(Copies::value_type& item) {
    auto& [sequence, tokens] = item;
    const auto count = static_cast<int64_t>(random_() % (2 * kBlock) + 1);
    const bool fits = cache_.blocks_needed(sequence, count) <= cache_.free_blocks();
    EXPECT_EQ(cache_.reserve(sequence, count), fits);
    if (!fits || random_() % 8 == 0) return;  // or reserved in vain
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(next_++);
      const int64_t position = static_cast<int64_t>(tokens.size()) - 1;
      const int64_t block = cache_.blocks(sequence)[static_cast<size_t>(position / kBlock)];
      for (int64_t layer = 0; layer < kLayers; ++layer)
        for (int64_t d = 0; d < 2; ++d) {
          at(cache_.keys(layer), block, position, d) = tokens.back();
          at(cache_.values(layer), block, position, d) = -tokens.back();
        }
    }
    cache_.advance(sequence, count);
  }

  std::string compare() {
    for (const auto& [sequence, tokens] : copies_) {
      const std::string name = "sequence " + std::to_string(sequence);
      if (cache_.length(sequence) != static_cast<int64_t>(tokens.size()))
        return name + " has another length";
      for (int64_t position = 0; position < cache_.length(sequence); ++position) {
        const int64_t block = cache_.blocks(sequence)[static_cast<size_t>(position / kBlock)];
        const float token = tokens[static_cast<size_t>(position)];
        for (int64_t layer = 0; layer < kLayers; ++layer)
          if (at(cache_.keys(layer), block, position, 1) != token ||
              at(cache_.values(layer), block, position, 0) != -token)
            return name + " differs at " + std::to_string(position);
      }
    }
    return "";
  }

  static float& at(const at::Tensor& tensor, int64_t block, int64_t position, int64_t d) {
    float* data = tensor.data_ptr<float>();
    return data[block * tensor.stride(0) + position % kBlock * tensor.stride(2) +
                d * tensor.stride(3)];
  }

  std::mt19937 random_;
  KVCache cache_{config(), kBlocks, at::kFloat, at::kCPU};
  Copies copies_;
  float next_ = 1;
};

TEST(CacheScripts, ThousandsMatchCopies) {
  constexpr unsigned kScripts = 4000;
  for (unsigned seed = 0; seed < kScripts; ++seed)
    ASSERT_EQ(Script(seed).play(60), "") << "script " << seed;
}

TEST(CacheScripts, CachesOfDifferentThreadsDoNotMeet) {
  std::vector<std::thread> threads;
  std::vector<std::string> differences(2);
  for (unsigned t = 0; t < 2; ++t)
    threads.emplace_back([t, &differences] {
      for (unsigned seed = 0; seed < 300 && differences[t].empty(); ++seed)
        differences[t] = Script(10'000 * (t + 1) + seed).play(60);
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& difference : differences) EXPECT_EQ(difference, "");
}

}  // namespace
}  // namespace surprisal
