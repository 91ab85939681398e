// The CPU kernels against the plain ATen form, over random ragged rows, on every path.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <random>

#include "lib/attention_statistics.h"
#include "models/attention_gathered.h"
#include "models/cpu/ragged_attention.h"
#include "models/kv_cache.h"
#include "tests/models/support.h"

namespace surprisal {
namespace {

// float32 sums in another order. One key too many or too few among 200 moves a probability by about
// 1/200, two thousand times as much.
constexpr double kTolerance = 2e-6;
constexpr double kStatisticTolerance = 2e-5;  // of values up to 10

struct Shape {
  int64_t heads, kv_heads, dim;
};

/// One row of a scene: `shared` leading blocks are those of the row before it.
struct Part {
  int64_t first, count;
  int64_t shared = 0;
};

int64_t blocks_for(int64_t tokens) {
  return (tokens + KVCache::kBlockTokens - 1) / KVCache::kBlockTokens;
}

/// A layer's cache with random content, in which rows lie in shuffled blocks.
class Scene {
 public:
  /// @param cache  the dtype of keys and values as the CPU kernels find them
  Scene(Shape shape, const std::vector<Part>& parts, uint64_t seed,
        at::ScalarType cache = at::kFloat)
      : generator_(seed), cache_(cache) {
    int64_t blocks = 0, tokens = 0;
    for (const Part& part : parts) blocks += blocks_for(part.first + part.count) - part.shared;
    std::vector<int64_t> unused(static_cast<size_t>(blocks));
    std::iota(unused.begin(), unused.end(), 0);
    std::shuffle(unused.begin(), unused.end(), generator_);
    for (const Part& part : parts) {
      std::vector<int64_t> numbers;
      if (part.shared > 0)
        numbers.assign(numbers_.back().begin(), numbers_.back().begin() + part.shared);
      while (static_cast<int64_t>(numbers.size()) < blocks_for(part.first + part.count)) {
        numbers.push_back(unused.back());
        unused.pop_back();
      }
      numbers_.push_back(std::move(numbers));  // the heap storage stays where it is
      rows_.push_back({numbers_.back(), part.first, part.count, tokens});
      tokens += part.count;
    }
    q_ = rounded(random({tokens, shape.heads, shape.dim}));
    keys_ = rounded(random({blocks, shape.kv_heads, KVCache::kBlockTokens, shape.dim}));
    values_ = rounded(random({blocks, shape.kv_heads, KVCache::kBlockTokens, shape.dim}));
    // Places after a row's last token hold whatever was there before.
    for (const AttentionRow& row : rows_) {
      const int64_t within = (row.first + row.count) % KVCache::kBlockTokens;
      if (within == 0) continue;
      for (const at::Tensor& part : {keys_, values_})
        part[row.blocks.back()].slice(1, within).fill_(std::numeric_limits<float>::quiet_NaN());
    }
  }

  AttentionInput input(int64_t window = 0) const {
    return {q_, keys_, values_, rows_, window, 1 / std::sqrt(static_cast<double>(q_.size(2)))};
  }
  at::ScalarType cache() const { return cache_; }
  at::Tensor rounded(const at::Tensor& part) const { return part.to(cache_).to(at::kFloat); }
  at::Tensor& q() { return q_; }
  at::Tensor& keys() { return keys_; }
  at::Tensor& values() { return values_; }
  const std::vector<AttentionRow>& rows() const { return rows_; }

  /// Leaves only query i of one row.
  void keep_query(AttentionRow row, int64_t i) {
    q_ = q_.slice(0, row.begin + i, row.begin + i + 1).contiguous();
    rows_ = {{row.blocks, row.first + i, 1, 0}};
  }

 private:
  at::Tensor random(const std::vector<int64_t>& shape) {
    std::normal_distribution<float> normal;
    at::Tensor tensor = at::empty(shape);
    std::generate_n(tensor.mutable_data_ptr<float>(), tensor.numel(),
                    [&] { return normal(generator_); });
    return tensor;
  }

  std::mt19937_64 generator_;
  at::ScalarType cache_;
  std::vector<std::vector<int64_t>> numbers_;
  std::vector<AttentionRow> rows_;
  at::Tensor q_, keys_, values_;
};

struct Result {
  at::Tensor output, per_head, per_layer, padded_head, padded_deviation;
  std::vector<at::Tensor> maps;
};

constexpr int64_t kPaddedSlots = 150;  // some rows are longer

Result empty_result(const Scene& scene, const AttentionInput& input, bool all_queries) {
  int64_t queries = 0;
  for (const AttentionRow& row : scene.rows()) queries += all_queries ? row.count : 1;
  const int64_t heads = input.q.size(1);
  return {.output = {},
          .per_head = at::empty({queries, heads, kHeadStatistics}),
          .per_layer = at::empty({queries, kLayerStatistics}),
          .padded_head = at::empty({queries, heads, 2}),
          .padded_deviation = at::empty({queries}),
          .maps = {}};
}

/// @param attend  (input, record) -> [N, H, D]
template <typename Attend>
Result by_operations(const Scene& scene, const AttentionInput& input, bool all_queries,
                     const Attend& attend) {
  Result result = empty_result(scene, input, all_queries);
  const AttentionRecord record{.all_queries = all_queries,
                               .per_head = result.per_head,
                               .per_layer = result.per_layer,
                               .padded_slots = kPaddedSlots,
                               .padded_head = result.padded_head,
                               .padded_mean_abs_deviation = result.padded_deviation,
                               .maps = &result.maps};
  result.output = attend(input, record);
  return result;
}

Result plain(const Scene& scene, const AttentionInput& input, bool all_queries) {
  return by_operations(scene, input, all_queries, attention_reference);
}

Result gathered(const Scene& scene, const AttentionInput& input, bool all_queries) {
  GatheredAttention attention(scene.rows(), all_queries, true,
                              input.keys.size(1) * input.keys.size(3), at::kCPU);
  Result result = by_operations(scene, input, all_queries,
                                std::bind_front(&GatheredAttention::attend, &attention));
  attention.write_statistics();
  return result;
}

/// The stages one after the other, each by all ranks in turn.
/// @param before  queries of an earlier layer, whose results are not kept
Result fast(const Scene& scene, const AttentionInput& input, bool all_queries,
            CpuPath path = cpu_path(), int ranks = 2, const at::Tensor& before = {}) {
  ModelConfig config;
  config.num_attention_heads = input.q.size(1);
  config.num_key_value_heads = input.keys.size(1);
  config.head_dim = input.q.size(2);
  Result result = empty_result(scene, input, all_queries);
  result.output = at::empty_like(input.q);
  Batch batch;
  batch.token_ids.resize(static_cast<size_t>(input.q.size(0)));
  batch.rows = scene.rows();
  for (const AttentionRow& row : batch.rows) {
    result.maps.push_back(at::zeros({input.q.size(1), row.count, row.first + row.count}));
    for (int64_t i = all_queries ? 0 : row.count - 1; i < row.count; ++i)
      batch.selected.push_back(row.begin + i);
  }
  const int64_t width = input.q.size(1) * input.q.size(2);
  config.num_hidden_layers = 1;
  const KVCache cache(config, input.keys.size(0), scene.cache(), at::kCPU);
  cache.keys(0).copy_(input.keys.reshape(cache.keys(0).sizes()));
  cache.values(0).copy_(input.values.reshape(cache.values(0).sizes()));
  RaggedAttention::Layer layer{
      .q = input.q.const_data_ptr<float>(),
      .q_stride = width,
      .cache = scene.cache() == at::kFloat ? CacheType::kFloat32 : CacheType::kBfloat16,
      .keys = cache.keys(0).const_data_ptr(),
      .values = cache.values(0).const_data_ptr(),
      .block_stride = cache.values(0).stride(0),
      .window = input.window,
      .per_head = result.per_head.mutable_data_ptr<float>(),
      .per_layer = result.per_layer.mutable_data_ptr<float>(),
      .per_head_stride = result.per_head.stride(0),
      .per_layer_stride = result.per_layer.stride(0),
      .padded_slots = kPaddedSlots,
      .padded_head = result.padded_head.mutable_data_ptr<float>(),
      .padded_mean_deviation = result.padded_deviation.mutable_data_ptr<float>(),
      .maps = &result.maps};
  RaggedAttention attention(config, path, ranks);
  attention.plan(batch, 0, batch.tokens(), true, true);
  const RaggedAttention::Put put = [&](int64_t row, int64_t head, int64_t heads,
                                       const float* outputs) {
    const int64_t dim = input.q.size(2);
    std::copy_n(outputs, heads * dim,
                result.output.mutable_data_ptr<float>() + row * width + head * dim);
  };
  const auto run = [&] {
    for (int rank = 0; rank < ranks; ++rank) attention.begin_layer({rank, ranks});
    // Pieces in an order and on ranks of no particular pattern, as a team deals them.
    for (int64_t i = attention.attend_pieces(); i-- > 0;) {
      attention.attend(layer, i, static_cast<int>(i * 7 % 5 % ranks), put);
    }
    for (int64_t i = attention.compare_pieces(layer); i-- > 0;) attention.compare(layer, i);
    for (int64_t i = attention.finish_pieces(layer); i-- > 0;) attention.finish(layer, i);
  };
  if (before.defined()) {
    layer.q = before.const_data_ptr<float>();
    run();
    layer.q = input.q.const_data_ptr<float>();
  }
  run();
  return result;
}

/// How far outputs may lie apart, element by element: over a cache in bfloat16 weights are rounded
/// before they meet the values, each by up to 2^-8 of itself. One key too many or too few among 200
/// moves some dimension by ten times that.
at::Tensor tolerance(const Scene& scene, int64_t window, bool all_queries) {
  if (scene.cache() == at::kFloat) return at::full({}, kTolerance);
  Scene sizes = scene;
  sizes.values() = sizes.values().abs();
  return plain(sizes, sizes.input(window), all_queries).output * 0x1p-8 + kTolerance;
}

void expect_within(const at::Tensor& a, const at::Tensor& b, const at::Tensor& tolerance) {
  const at::Tensor excess = (a - b).abs() - tolerance;
  EXPECT_LE(excess.max().item<float>(), 0);  // fails on NaN
}

void expect_equal(const Result& a, const Result& b, const at::Tensor& tolerance) {
  expect_within(a.output, b.output, tolerance);
  EXPECT_LT(test::max_difference(a.per_head, b.per_head), kStatisticTolerance);
  EXPECT_LT(test::max_difference(a.per_layer, b.per_layer), kStatisticTolerance);
  EXPECT_LT(test::max_difference(a.padded_head, b.padded_head), kStatisticTolerance);
  EXPECT_LT(
      test::max_difference(a.padded_deviation * kPaddedSlots, b.padded_deviation * kPaddedSlots),
      kStatisticTolerance);
  ASSERT_EQ(a.maps.size(), b.maps.size());
  for (size_t i = 0; i < a.maps.size(); ++i)
    EXPECT_LT(test::max_difference(a.maps[i], b.maps[i]), kTolerance) << "row " << i;
}

// One chunk and several, on and off its borders; prefills; rows that share blocks, whole chunks of
// them included.
const std::vector<Part> kRagged = {{0, 1},       {0, 7},      {15, 1},  {16, 1},      {31, 2},
                                   {200, 1},     {0, 33},     {47, 18}, {150, 3},     {5, 1},
                                   {127, 1},     {128, 1, 7}, {300, 2}, {290, 1, 17}, {260, 40, 16},
                                   {256, 5, 16}, {384, 1, 16}};

class RaggedAttentionTest : public ::testing::TestWithParam<std::tuple<CpuPath, at::ScalarType>> {
 protected:
  void SetUp() override { at::set_num_threads(1); }  // the oracle's products are too small to share
  static CpuPath path() { return std::get<0>(GetParam()); }
  static at::ScalarType cache() { return std::get<1>(GetParam()); }
};

TEST_P(RaggedAttentionTest, EqualsTheReferenceOverShapesAndWindows) {
  uint64_t seed = 0;
  for (const Shape shape :
       {Shape{1, 1, 2}, Shape{4, 4, 16}, Shape{9, 3, 64}, Shape{8, 1, 24}, Shape{6, 2, 6},
        Shape{2, 2, 128}, Shape{5, 5, 34}, Shape{26, 2, 8}, Shape{8, 2, 96}})
    for (const int64_t window : {0, 1, 16, 40, 200}) {
      SCOPED_TRACE(std::to_string(shape.heads) + " heads, dim " + std::to_string(shape.dim) +
                   ", window " + std::to_string(window));
      const Scene scene(shape, kRagged, ++seed, cache());
      const AttentionInput input = scene.input(window);
      for (const bool all : {false, true})
        expect_equal(fast(scene, input, all, path()), plain(scene, input, all),
                     tolerance(scene, window, all));
    }
}

TEST(GatheredAttention, EqualsTheReferenceOverShapesAndWindows) {
  uint64_t seed = 100;
  for (const Shape shape : {Shape{1, 1, 2}, Shape{9, 3, 64}, Shape{8, 1, 24}, Shape{5, 5, 33}})
    for (const int64_t window : {0, 1, 16, 200}) {
      SCOPED_TRACE(std::to_string(shape.heads) + " heads, window " + std::to_string(window));
      const Scene scene(shape, kRagged, ++seed);
      const AttentionInput input = scene.input(window);
      for (const bool all : {false, true})
        expect_equal(gathered(scene, input, all), plain(scene, input, all),
                     tolerance(scene, window, all));
    }
}

TEST(GatheredAttention, WritesTheStatisticsOfSeveralLayersAtOnce) {
  const Scene scene({9, 3, 64}, kRagged, 7);
  Scene other = scene;
  other.q() = scene.input().q.flip(0);
  const AttentionInput first = scene.input(), second = other.input(16), third = other.input();
  for (const bool all_queries : {false, true}) {
    GatheredAttention attention(scene.rows(), all_queries, true, 3 * 64, at::kCPU);
    std::vector<Result> results;
    for (const AttentionInput& input : {first, second, third})
      results.push_back(by_operations(scene, input, all_queries,
                                      std::bind_front(&GatheredAttention::attend, &attention)));
    attention.write_statistics();
    expect_equal(results[0], plain(scene, first, all_queries), tolerance(scene, 0, all_queries));
    expect_equal(results[1], plain(other, second, all_queries), tolerance(other, 16, all_queries));
    expect_equal(results[2], plain(other, third, all_queries), tolerance(other, 0, all_queries));
  }
}

TEST(GatheredAttention, WritesWhatIsAskedForUnannounced) {
  const Scene scene({9, 3, 64}, kRagged, 10);
  const AttentionInput input = scene.input();
  GatheredAttention attention(scene.rows(), false, false, 3 * 64, at::kCPU);
  const Result result =
      by_operations(scene, input, false, std::bind_front(&GatheredAttention::attend, &attention));
  attention.write_statistics();
  expect_equal(result, plain(scene, input, false), tolerance(scene, 0, false));
}

TEST(GatheredAttention, WithoutStatisticsLeavesThemAlone) {
  const Scene scene({9, 3, 64}, kRagged, 9);
  const AttentionInput input = scene.input();
  GatheredAttention attention(scene.rows(), false, false, 3 * 64, at::kCPU);
  const at::Tensor output = attention.attend(input, {});
  attention.write_statistics();
  EXPECT_LE(test::max_difference(output, plain(scene, input, false).output), kTolerance);
}

void expect_same_bits(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_TRUE(at::equal(a, b)) << test::max_difference(a, b);
}

TEST_P(RaggedAttentionTest, AQuerysBitsDependOnItsOwnKeysAlone) {
  for (const Shape shape : {Shape{9, 3, 64}, Shape{8, 2, 64}}) {
    const Scene scene(shape, kRagged, 3, cache());
    const AttentionInput input = scene.input();
    const Result together = fast(scene, input, true, path(), 3);
    int64_t at = 0;
    for (const AttentionRow& row : scene.rows())
      for (int64_t i = 0; i < row.count; ++i, ++at) {
        if (at % 7 != 0) continue;  // enough, from every part of a tile
        Scene alone = scene;
        alone.keep_query(row, i);
        const Result single = fast(alone, alone.input(), true, path(), 1);
        expect_same_bits(together.output[at], single.output[0]);
        expect_same_bits(together.per_head[at], single.per_head[0]);
        expect_same_bits(together.per_layer[at], single.per_layer[0]);
        expect_same_bits(together.padded_head[at], single.padded_head[0]);
      }
  }
}

TEST_P(RaggedAttentionTest, WhatALayerLeavesDoesNotReachTheNext) {
  // Enough rows that some of them are put together in one place, long ones before short ones.
  for (const int ranks : {1, 2}) {
    const Scene scene({9, 3, 64}, kRagged, 5, cache());
    const AttentionInput input = scene.input();
    const at::Tensor nan = at::full_like(input.q, std::numeric_limits<float>::quiet_NaN());
    const Result first = fast(scene, input, true, path(), ranks);
    const Result second = fast(scene, input, true, path(), ranks, nan);
    expect_same_bits(first.output, second.output);
    expect_same_bits(first.per_head, second.per_head);
    expect_same_bits(first.per_layer, second.per_layer);
    expect_same_bits(first.padded_deviation, second.padded_deviation);
    for (size_t i = 0; i < first.maps.size(); ++i) expect_same_bits(first.maps[i], second.maps[i]);
  }
}

TEST_P(RaggedAttentionTest, AnOverwhelmingFirstTokenHidesNothing) {
  // Attention sinks: the first key gets all but e^-30 of the weight in some heads, and the other
  // keys' relative weights still decide agreement_without_first.
  Scene scene({4, 2, 16}, {{99, 1}, {0, 40}, {250, 1}}, 11, cache());
  for (const AttentionRow& row : scene.rows())
    scene.keys()[row.blocks[0]].select(1, 0).copy_(
        scene.rounded(scene.q()[row.begin + row.count - 1].slice(0, 0, 4, 2) * 32));
  const AttentionInput input = scene.input();
  const Result result = fast(scene, input, false, path());
  const auto sink = static_cast<int64_t>(HeadStatistic::kSinkMass);
  EXPECT_GT(result.per_head.select(-1, sink).max().item<float>(), 0.9999f);
  expect_equal(result, plain(scene, input, false), tolerance(scene, 0, false));
}

TEST_P(RaggedAttentionTest, LargeScoresNeitherOverflowNorCancel) {
  for (const double scale : {0.0, 80.0, 4e4}) {
    SCOPED_TRACE(scale);
    Scene scene({4, 2, 16}, {{60, 1}, {0, 20}, {200, 2}}, 13, cache());
    scene.q() = scene.rounded(scene.q() * scale);
    const AttentionInput input = scene.input();
    const Result quick = fast(scene, input, true, path());
    const Result slow = plain(scene, input, true);
    expect_within(quick.output, slow.output, tolerance(scene, 0, true) + 1e-4);
    const auto entropy = static_cast<int64_t>(HeadStatistic::kEntropy);
    EXPECT_LT(
        test::max_difference(quick.per_head.select(-1, entropy), slow.per_head.select(-1, entropy)),
        1e-3)
        << scale;
  }
}

TEST(RaggedAttentionWeights, AreExponentialsToTheLastDigits) {
  Scene scene({1, 1, 4}, {{299, 1}}, 19);
  // At a scale of 1/2, a score is the key's first number.
  scene.q().fill_(0).select(-1, 0).fill_(2);
  std::vector<double> scores;
  for (int64_t position = 0; position < 300; ++position) {
    // Multiples of 2^-16, whose differences are exact.
    scores.push_back(std::round(-0.28 * 0x1p16 * static_cast<double>(position)) * 0x1p-16);
    const auto block = static_cast<size_t>(position / KVCache::kBlockTokens);
    scene.keys()[scene.rows()[0].blocks[block]][0][position % KVCache::kBlockTokens][0] =
        scores.back();
  }
  for (const CpuPath path : available_cpu_paths()) {
    SCOPED_TRACE(cpu_path_name(path));
    const at::Tensor map = fast(scene, scene.input(), true, path).maps[0].flatten();
    const auto* const weights = map.const_data_ptr<float>();
    // 1.2 units in the last place of e^x, and half of one for each of four roundings; to -83.
    for (size_t i = 0; i < scores.size(); ++i)
      EXPECT_NEAR(weights[i] / (weights[0] * std::exp(scores[i])), 1, 3.2 * 0x1p-23) << scores[i];
  }
}

TEST_P(RaggedAttentionTest, NaNReachesTheQueriesThatSeeItAndNoOthers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t position : {0, 3, 17, 130})
    for (const int64_t dim : {16, 32})
      for (const bool in_keys : {true, false}) {
        Scene scene({4, 1, dim}, {{0, 150}}, 17, cache());
        (in_keys ? scene.keys() : scene.values())[scene.rows()[0].blocks[static_cast<size_t>(
                                                      position / KVCache::kBlockTokens)]]
            .select(1, position % KVCache::kBlockTokens)
            .fill_(nan);
        const at::Tensor bad =
            fast(scene, scene.input(), true, path()).output.isnan().flatten(1);  // [T, H * D]
        EXPECT_FALSE(bad.slice(0, 0, position).any().item<bool>()) << position << in_keys;
        EXPECT_TRUE(bad.slice(0, position).all().item<bool>()) << position << in_keys;
      }
}

INSTANTIATE_TEST_SUITE_P(Paths, RaggedAttentionTest,
                         ::testing::Combine(::testing::ValuesIn(available_cpu_paths()),
                                            ::testing::Values(at::kFloat, at::kBFloat16)),
                         [](const auto& test) {
                           return std::string(cpu_path_name(std::get<0>(test.param))) + "_" +
                                  c10::toString(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace surprisal
