// What chunks leave put together, against sums over the scores themselves, on every path.

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models/cpu/merge_kernels.h"

namespace surprisal {
namespace {

constexpr int64_t kDim = 19;  // no whole number of vectors
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Scores [chunk][key] and values [chunk][key][kDim] of one head; chunk 0 begins with position 0.
struct Head {
  std::vector<std::vector<float>> scores;
  std::vector<std::vector<float>> values;
  std::vector<float> first_value = std::vector<float>(kDim);
};

class MergeKernelsTest : public ::testing::TestWithParam<CpuPath> {
 protected:
  static constexpr int64_t kStride = 20;  // more heads than are merged

  // Fills states and sums as a chunk's kernel does, which leaves out position 0.
  void make(std::vector<Head> heads, int64_t chunks, bool sees_first, CacheType cache) {
    heads_ = std::move(heads);
    chunks_ = chunks;
    sees_first_ = sees_first;
    states_.assign(static_cast<size_t>(chunks * kStride), {});
    sums_.assign(states_.size() * kDim, std::numeric_limits<float>::quiet_NaN());
    for (auto* factors : {&factors_, &without_first_, &padded_}) factors->assign(states_.size(), 7);
    outputs_.assign(heads_.size() * kDim + 1, 7);
    first_numbers_.assign(heads_.size() * kDim, 0);
    first_pairs_.assign(heads_.size() * kDim, 0x7fff0000u);  // odd numbers, which are not read
    first_values_.clear();
    for (size_t h = 0; h < heads_.size(); ++h) {
      for (int64_t c = 0; c < chunks; ++c) leave(h, c);
      for (size_t d = 0; d < kDim; ++d) {
        first_numbers_[h * kDim + d] = heads_[h].first_value[d];
        first_pairs_[h * kDim + d] |= c10::BFloat16(heads_[h].first_value[d]).x;
      }
      const bool plain = cache == CacheType::kFloat32;
      first_values_.push_back(plain ? static_cast<void*>(&first_numbers_[h * kDim])
                                    : &first_pairs_[h * kDim]);
    }
    call_ = {.heads = static_cast<int64_t>(heads_.size()),
             .chunks = chunks,
             .stride = kStride,
             .states = states_.data(),
             .sums = sums_.data(),
             .dim = kDim,
             .cache = cache,
             .first_values = sees_first ? first_values_.data() : nullptr,
             .statistics = true,
             .empty = 3,
             .factors = factors_.data(),
             .factors_without_first = without_first_.data(),
             .padded_factors = padded_.data(),
             .outputs = outputs_.data()};
  }
  void merge() { merge_kernel(GetParam())(call_, merged_); }

  void leave(size_t h, int64_t c) {
    const auto chunk = static_cast<size_t>(c);
    const std::vector<float>& scores = heads_[h].scores[chunk];
    ChunkState& state = states_[chunk * kStride + h];
    if (c == 0) state.first_score = scores.at(0);
    const size_t begin = c == 0 ? 1 : 0;
    if (begin >= scores.size()) return;  // sums stay NaN
    for (size_t i = begin; i < scores.size(); ++i) state.top = std::max(state.top, scores[i]);
    float* const sums = &sums_[(chunk * kStride + h) * kDim];
    std::fill_n(sums, kDim, 0.0f);
    for (size_t i = begin; i < scores.size(); ++i) {
      const float distance = scores[i] - state.top, w = std::exp(distance);
      state.total += w;
      state.first_moment += w * distance;
      state.second_moment += w * distance * distance;
      state.abs_sum += std::abs(scores[i]);
      for (size_t d = 0; d < kDim; ++d) sums[d] += w * heads_[h].values[chunk][i * kDim + d];
    }
  }

  // Against float64 over all scores. States are float32 sums of at most 20 numbers: 2e-6 is ten
  // times what their rounding makes of it.
  void expect_all() {
    constexpr double kTolerance = 2e-6;
    for (size_t h = 0; h < heads_.size(); ++h) {
      SCOPED_TRACE(h);
      std::vector<double> seen, rest;
      double abs_sum = 0;
      for (int64_t c = 0; c < chunks_; ++c) {
        for (size_t i = 0; i < heads_[h].scores[static_cast<size_t>(c)].size(); ++i) {
          const double s = heads_[h].scores[static_cast<size_t>(c)][i];
          const bool first = c == 0 && i == 0;
          if (first && !sees_first_) continue;
          abs_sum += std::abs(s);
          seen.push_back(s);
          if (!first) rest.push_back(s);
        }
      }
      const auto log_sum_exp = [](const std::vector<double>& scores) {
        double z = 0;
        for (const double s : scores) z += std::exp(s);
        return std::log(z);
      };
      const auto entropy = [&](const std::vector<double>& scores, int power) {
        double mean = 0;
        for (const double s : scores) {
          const double surprisal = log_sum_exp(scores) - s;
          mean += std::exp(-surprisal) * std::pow(surprisal, power);
        }
        return mean;
      };
      std::vector<double> padded = seen;
      padded.insert(padded.end(), 3, 0.0);
      const double all = log_sum_exp(seen), with_padding = log_sum_exp(padded);
      const double mean = entropy(seen, 1);
      const double first_score = heads_[h].scores[0][0];
      EXPECT_NEAR(merged_.first[h], sees_first_ ? std::exp(first_score - all) : 0, kTolerance);
      EXPECT_NEAR(merged_.entropy[h], mean, 10 * kTolerance);
      EXPECT_NEAR(merged_.varentropy[h], entropy(seen, 2) - mean * mean, 100 * kTolerance);
      EXPECT_NEAR(merged_.log_sum_exp[h], all, kTolerance);
      EXPECT_NEAR(merged_.max_probability[h],
                  std::exp(*std::max_element(seen.begin(), seen.end()) - all), kTolerance);
      EXPECT_NEAR(merged_.abs_sum[h], abs_sum, kTolerance * abs_sum);
      EXPECT_NEAR(merged_.padded_entropy[h], entropy(padded, 1), 10 * kTolerance);
      EXPECT_NEAR(merged_.padded_first[h], sees_first_ ? std::exp(first_score - with_padding) : 0,
                  kTolerance);
      EXPECT_NEAR(merged_.padded_empty[h], std::exp(-with_padding), kTolerance);
      std::vector<double> output(kDim);
      for (int64_t c = 0; c < chunks_; ++c) {
        const auto chunk = static_cast<size_t>(c);
        const size_t record = chunk * kStride + h;
        for (size_t i = 0; i < heads_[h].scores[chunk].size(); ++i) {
          const double s = heads_[h].scores[chunk][i];
          if (c == 0 && i == 0) {
            if (!sees_first_) continue;
            for (size_t d = 0; d < kDim; ++d) {
              output[d] += std::exp(s - all) * heads_[h].first_value[d];
            }
            continue;
          }
          const double w = std::exp(s - states_[record].top);
          EXPECT_NEAR(factors_[record] * w, std::exp(s - all), kTolerance);
          EXPECT_NEAR(without_first_[record] * w, std::exp(s - log_sum_exp(rest)), kTolerance);
          EXPECT_NEAR(padded_[record] * w, std::exp(s - with_padding), kTolerance);
          for (size_t d = 0; d < kDim; ++d) {
            output[d] += std::exp(s - all) * heads_[h].values[chunk][i * kDim + d];
          }
        }
      }
      for (size_t d = 0; d < kDim; ++d) {
        EXPECT_NEAR(outputs_[h * kDim + d], output[d], 4 * kTolerance);
      }
    }
    EXPECT_EQ(outputs_.back(), 7);
    for (size_t i = heads_.size(); i < states_.size(); ++i) {  // other heads' places
      if (i % kStride < heads_.size()) continue;
      EXPECT_EQ(factors_[i], 7);
      EXPECT_EQ(without_first_[i], 7);
      EXPECT_EQ(padded_[i], 7);
    }
  }

  std::vector<Head> heads_;
  int64_t chunks_ = 0;
  bool sees_first_ = true;
  std::vector<ChunkState> states_;
  std::vector<float> sums_, factors_, without_first_, padded_, outputs_, first_numbers_;
  std::vector<uint32_t> first_pairs_;
  std::vector<const void*> first_values_;
  MergeCall call_{};
  MergedHeads merged_{};
};

std::vector<Head> random_heads(size_t count, const std::vector<size_t>& keys, float spread,
                               unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<Head> heads(count);
  for (Head& head : heads) {
    for (float& x : head.first_value) x = c10::BFloat16(normal(generator));
    for (const size_t n : keys) {
      std::vector<float> scores(n), values(n * kDim);
      for (float& s : scores) s = spread * normal(generator);
      for (float& x : values) x = normal(generator);
      head.scores.push_back(scores);
      head.values.push_back(values);
    }
  }
  return heads;
}

TEST_P(MergeKernelsTest, AnyHeadsAndChunksAreWhatAllTheirScoresGive) {
  const std::vector<std::vector<size_t>> keys = {{2}, {20}, {16, 1}, {7, 16, 11}, {1, 5}};
  unsigned seed = 0;
  for (const size_t heads : {1, 3, 4, 7, 8, 9, 15, 16}) {
    for (const auto& chunks : keys) {
      for (const bool sees_first : {true, false}) {
        for (const CacheType cache : {CacheType::kFloat32, CacheType::kBfloat16}) {
          const float spread = seed % 3 == 0 ? 6.0f : 1.0f;
          make(random_heads(heads, chunks, spread, ++seed), static_cast<int64_t>(chunks.size()),
               sees_first, cache);
          merge();
          expect_all();
          ASSERT_FALSE(HasFailure()) << heads << " heads, case " << seed;
        }
      }
    }
  }
}

TEST_P(MergeKernelsTest, PositionZeroAloneIsCertain) {
  make(random_heads(9, {1}, 1, 1), 1, true, CacheType::kFloat32);
  call_.empty = 0;
  merge();
  for (size_t h = 0; h < 9; ++h) {
    EXPECT_EQ(merged_.first[h], 1);
    EXPECT_EQ(merged_.entropy[h], 0);
    EXPECT_EQ(merged_.varentropy[h], 0);
    EXPECT_EQ(merged_.padded_empty[h], 0);
    EXPECT_EQ(factors_[h], 0);
    EXPECT_EQ(without_first_[h], 0);
    for (size_t d = 0; d < kDim; ++d) EXPECT_EQ(outputs_[h * kDim + d], heads_[h].first_value[d]);
  }
}

TEST_P(MergeKernelsTest, FarApartScoresStay) {
  std::vector<Head> heads = random_heads(2, {3, 4}, 1, 2);
  heads[0].scores[0][0] = 2000;                          // all others vanish
  for (float& s : heads[1].scores[1]) s -= 2000;         // a chunk does
  const float second = std::exp(heads[0].scores[0][1]);  // of the rest's first chunk
  make(heads, 2, true, CacheType::kFloat32);
  merge();
  EXPECT_EQ(merged_.first[0], 1);
  EXPECT_EQ(merged_.entropy[0], 0);
  double rest = 0;
  for (size_t i = 1; i < 3; ++i) rest += std::exp(heads[0].scores[0][i]);
  for (const float s : heads[0].scores[1]) rest += std::exp(s);
  const double w = std::exp(heads[0].scores[0][1] - states_[0].top);
  EXPECT_NEAR(without_first_[0] * w, second / rest, 1e-6);
  EXPECT_EQ(factors_[kStride + 1], 0);
  double abs_sum = 0;
  for (const auto& chunk : heads[1].scores) {
    for (const float s : chunk) abs_sum += std::abs(s);
  }
  EXPECT_NEAR(merged_.abs_sum[1], abs_sum, 1e-6 * abs_sum);
}

TEST_P(MergeKernelsTest, AnInfiniteScoreIsNotTakenForCertainty) {
  for (const size_t place : {0, 1}) {  // position 0, or another one
    std::vector<Head> heads = random_heads(3, {4}, 1, 3);
    heads[1].scores[0][place] = kInfinity;
    make(heads, 1, true, CacheType::kFloat32);
    merge();
    EXPECT_TRUE(std::isnan(merged_.entropy[1]));
    EXPECT_TRUE(std::isnan(merged_.first[1]) && std::isnan(merged_.max_probability[1]));
    EXPECT_TRUE(std::isnan(outputs_[kDim]));
    EXPECT_FALSE(std::isnan(merged_.entropy[0]) || std::isnan(merged_.entropy[2]));
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, MergeKernelsTest, ::testing::ValuesIn(available_cpu_paths()),
                         [](const auto& path) { return std::string(cpu_path_name(path.param)); });

}  // namespace
}  // namespace surprisal
