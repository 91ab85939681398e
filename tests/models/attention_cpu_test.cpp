// The CPU kernel against the plain ATen form, over random ragged rows.

#include "models/attention_cpu.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "lib/attention_statistics.h"
#include "models/kv_cache.h"
#include "tests/models/support.h"

namespace surprisal {
namespace {

// float32 sums in another order. One key too many or too few among 200 moves a probability by about
// 1/200, two thousand times as much.
constexpr double kTolerance = 2e-6;
constexpr double kStatisticTolerance = 2e-5;  // of values up to 10
// An output is rounded to its 16-bit type: half a unit of its last place, at values up to 4.
constexpr double kBfloat16Tolerance = 0x1p-6;
constexpr double kFloat16Tolerance = 0x1p-9;

struct Shape {
  int64_t heads, kv_heads, dim;
};

/// A layer's cache with random content, in which rows lie in shuffled blocks.
class Scene {
 public:
  Scene(Shape shape, at::ScalarType dtype, std::vector<std::pair<int64_t, int64_t>> first_count,
        uint64_t seed)
      : generator_(seed) {
    int64_t blocks = 0, tokens = 0;
    for (const auto& [first, count] : first_count) {
      blocks += (first + count + KVCache::kBlockTokens - 1) / KVCache::kBlockTokens;
      tokens += count;
    }
    std::vector<int64_t> numbers(static_cast<size_t>(blocks));
    std::iota(numbers.begin(), numbers.end(), 0);
    std::shuffle(numbers.begin(), numbers.end(), generator_);
    numbers_ = numbers;
    int64_t used = 0, begin = 0;
    for (const auto& [first, count] : first_count) {
      const int64_t own = (first + count + KVCache::kBlockTokens - 1) / KVCache::kBlockTokens;
      rows_.push_back(
          {std::span(numbers_).subspan(static_cast<size_t>(used), static_cast<size_t>(own)), first,
           count, begin});
      used += own;
      begin += count;
    }
    q_ = random({tokens, shape.heads, shape.dim}).to(dtype);
    keys_ = random({blocks, shape.kv_heads, KVCache::kBlockTokens, shape.dim}).to(dtype);
    values_ = random({blocks, shape.kv_heads, KVCache::kBlockTokens, shape.dim}).to(dtype);
    // Places after a row's last token hold whatever was there before.
    for (const AttentionRow& row : rows_) {
      const int64_t within = (row.first + row.count) % KVCache::kBlockTokens;
      if (within == 0) continue;
      for (const at::Tensor& cache : {keys_, values_})
        cache[row.blocks.back()].slice(1, within).fill_(std::numeric_limits<float>::quiet_NaN());
    }
  }

  AttentionInput input(int64_t window, double scale) const {
    return {q_, keys_, values_, rows_, window, scale};
  }
  at::Tensor& q() { return q_; }
  at::Tensor& keys() { return keys_; }
  const std::vector<AttentionRow>& rows() const { return rows_; }

 private:
  at::Tensor random(const std::vector<int64_t>& shape) {
    std::normal_distribution<float> normal;
    at::Tensor tensor = at::empty(shape);
    std::generate_n(tensor.mutable_data_ptr<float>(), tensor.numel(),
                    [&] { return normal(generator_); });
    return tensor;
  }

  std::mt19937_64 generator_;
  std::vector<int64_t> numbers_;
  std::vector<AttentionRow> rows_;
  at::Tensor q_, keys_, values_;
};

struct Result {
  at::Tensor output, per_head, per_layer, padded_head, padded_deviation;
  std::vector<at::Tensor> maps;
};

template <typename Attention>
Result run(const Attention& attention, const Scene& scene, const AttentionInput& input,
           bool all_queries) {
  int64_t queries = 0;
  for (const AttentionRow& row : scene.rows()) queries += all_queries ? row.count : 1;
  const int64_t heads = input.q.size(1);
  Result result;
  result.per_head = at::empty({queries, heads, kHeadStatistics});
  result.per_layer = at::empty({queries, kLayerStatistics});
  result.padded_head = at::empty({queries, heads, 2});
  result.padded_deviation = at::empty({queries});
  AttentionRecord record;
  record.all_queries = all_queries;
  record.per_head = result.per_head;
  record.per_layer = result.per_layer;
  record.padded_slots = 150;  // some rows are longer
  record.padded_head = result.padded_head;
  record.padded_mean_abs_deviation = result.padded_deviation;
  record.maps = &result.maps;
  result.output = attention(input, record);
  return result;
}

void expect_equal(const Result& a, const Result& b, double tolerance) {
  EXPECT_LT(test::max_difference(a.output, b.output), tolerance);
  EXPECT_LT(test::max_difference(a.per_head, b.per_head), kStatisticTolerance);
  EXPECT_LT(test::max_difference(a.per_layer, b.per_layer), kStatisticTolerance);
  EXPECT_LT(test::max_difference(a.padded_head, b.padded_head), kStatisticTolerance);
  EXPECT_LT(test::max_difference(a.padded_deviation * 150, b.padded_deviation * 150),
            kStatisticTolerance);
  ASSERT_EQ(a.maps.size(), b.maps.size());
  for (size_t i = 0; i < a.maps.size(); ++i)
    EXPECT_LT(test::max_difference(a.maps[i], b.maps[i]), kTolerance) << "row " << i;
}

const std::vector<std::pair<int64_t, int64_t>> kRagged = {
    {0, 1}, {0, 7}, {15, 1}, {16, 1}, {31, 2}, {200, 1}, {0, 33}, {47, 18}, {150, 3}, {5, 1}};

TEST(AttentionCpu, EqualsTheReferenceOverShapesAndWindows) {
  uint64_t seed = 0;
  for (const Shape shape : {Shape{1, 1, 2}, Shape{4, 4, 16}, Shape{9, 3, 64}, Shape{8, 1, 24},
                            Shape{6, 2, 6}, Shape{2, 2, 128}, Shape{5, 5, 33}})
    for (const int64_t window : {0, 1, 16, 40}) {
      SCOPED_TRACE(std::to_string(shape.heads) + " heads, dim " + std::to_string(shape.dim) +
                   ", window " + std::to_string(window));
      const Scene scene(shape, at::kFloat, kRagged, ++seed);
      const AttentionInput input = scene.input(window, 1 / std::sqrt(shape.dim));
      for (const bool all : {false, true})
        expect_equal(run(attention_cpu, scene, input, all),
                     run(attention_reference, scene, input, all), kTolerance);
    }
}

TEST(AttentionCpu, ReadsSixteenBitCaches) {
  for (const auto& [dtype, tolerance] :
       {std::pair{at::kBFloat16, kBfloat16Tolerance}, std::pair{at::kHalf, kFloat16Tolerance}}) {
    const Scene scene({9, 3, 40}, dtype, kRagged, 5);
    const AttentionInput input = scene.input(0, 0.3);
    expect_equal(run(attention_cpu, scene, input, true),
                 run(attention_reference, scene, input, true), tolerance);
  }
}

TEST(AttentionCpu, AnOverwhelmingFirstTokenHidesNothing) {
  // Attention sinks: the first key gets all but e^-30 of the weight in some heads, and the other
  // keys' relative weights still decide agreement_without_first.
  Scene scene({4, 2, 16}, at::kFloat, {{99, 1}, {0, 40}}, 11);
  for (const AttentionRow& row : scene.rows())
    scene.keys()[row.blocks[0]].select(1, 0).copy_(
        scene.q()[row.begin + row.count - 1].slice(0, 0, 4, 2) * 8);
  const AttentionInput input = scene.input(0, 1);
  const Result fast = run(attention_cpu, scene, input, false);
  EXPECT_GT(
      fast.per_head.select(-1, static_cast<int64_t>(HeadStatistic::kSinkMass)).max().item<float>(),
      0.9999f);
  expect_equal(fast, run(attention_reference, scene, input, false), kTolerance);
}

TEST(AttentionCpu, LargeScoresNeitherOverflowNorCancel) {
  for (const double scale : {0.0, 20.0, 1e4}) {
    const Scene scene({4, 2, 16}, at::kFloat, {{60, 1}, {0, 20}}, 13);
    const AttentionInput input = scene.input(0, scale);
    const Result fast = run(attention_cpu, scene, input, true);
    const Result plain = run(attention_reference, scene, input, true);
    EXPECT_LT(test::max_difference(fast.output, plain.output), 1e-4) << scale;
    const auto entropy = static_cast<int64_t>(HeadStatistic::kEntropy);
    EXPECT_LT(
        test::max_difference(fast.per_head.select(-1, entropy), plain.per_head.select(-1, entropy)),
        1e-3)
        << scale;
  }
}

TEST(AttentionCpu, NaNInAVisibleKeyReachesTheOutput) {
  for (const int64_t position : {0, 3, 17}) {
    Scene scene({2, 1, 16}, at::kFloat, {{20, 1}}, 17);
    scene.keys()[scene.rows()[0].blocks[static_cast<size_t>(position / 16)]]
        .select(1, position % 16)
        .fill_(std::numeric_limits<float>::quiet_NaN());
    const at::Tensor output = attention_cpu(scene.input(0, 1), {});
    EXPECT_TRUE(output.isnan().all().item<bool>()) << position;
  }
}

}  // namespace
}  // namespace surprisal
