// The light kernels against plain arithmetic, on every path.

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models/cpu/vector_kernels.h"
#include "models/softmax_state.h"

namespace surprisal {
namespace {

class VectorKernelsTest : public ::testing::TestWithParam<CpuPath> {
 protected:
  const VectorKernels& kernels_ = vector_kernels(GetParam());
};

TEST_P(VectorKernelsTest, RoundIsLibTorchsOwn) {
  // All upper halves beside lower ones on both sides of a tie; infinities and NaN among them.
  std::vector<float> x;
  for (uint32_t upper = 0; upper < 0x10000; upper += 7) {
    for (const uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      x.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  for (const uint32_t special : {0x7f800000u, 0xff800000u, 0x7f7fffffu, 0x7f800001u, 0x7fffffffu}) {
    x.push_back(std::bit_cast<float>(special));
  }
  std::vector<uint16_t> y(x.size());
  kernels_.round(x.data(), static_cast<int64_t>(x.size()), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_EQ(y[i], c10::BFloat16(x[i]).x) << std::hexfloat << x[i];
  }
}

TEST_P(VectorKernelsTest, RoundWritesAsManyAsItIsToldTo) {
  const std::vector<float> x(40, 1.0f);
  for (int64_t n = 0; n <= 40; ++n) {
    std::vector<uint16_t> y(41, 0xffff);
    kernels_.round(x.data(), n, y.data());
    for (int64_t i = 0; i <= 40; ++i)
      ASSERT_EQ(y[static_cast<size_t>(i)], i < n ? 0x3f80 : 0xffff) << n;
  }
}

TEST_P(VectorKernelsTest, RotateTurnsPairsHalfARowApart) {
  std::mt19937_64 generator(1);
  std::normal_distribution<float> normal;
  for (const int64_t n : {2, 6, 24, 64, 70}) {
    const auto size = static_cast<size_t>(n), half = size / 2;
    std::vector<float> x(size), cos(size), sin(size);
    for (auto* part : {&x, &cos, &sin})
      for (float& value : *part) value = normal(generator);
    std::vector<float> turned = x;
    kernels_.rotate(turned.data(), cos.data(), sin.data(), n);
    for (size_t i = 0; i < size; ++i) {
      const double other = i < half ? -x[i + half] : x[i - half];
      const double expected = double{x[i]} * cos[i] + other * sin[i];
      // Three roundings of terms of at most some 10.
      EXPECT_NEAR(turned[i], expected, 3e-6) << n << ", " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, VectorKernelsTest, ::testing::ValuesIn(available_cpu_paths()),
                         [](const auto& path) { return std::string(cpu_path_name(path.param)); });

TEST(SoftmaxState, SummaryOfMergedSetsIsThatOfTheWhole) {
  const std::vector<double> scores = {0.5, -3, 2, 2, -40, 1.25};
  SoftmaxState merged;
  for (const double score : scores) merged = merged.merged(SoftmaxState::of(score));
  double z = 0, mean = 0, square = 0;
  for (const double score : scores) z += std::exp(score);
  for (const double score : scores) {
    const double p = std::exp(score) / z, surprisal = std::log(z) - score;
    EXPECT_NEAR(merged.probability(score), p, 1e-15);
    mean += p * surprisal;
    square += p * surprisal * surprisal;
  }
  const SoftmaxState::Summary summary = merged.summary();
  EXPECT_NEAR(summary.log_sum_exp, std::log(z), 1e-14);
  EXPECT_NEAR(summary.entropy, mean, 1e-14);
  EXPECT_NEAR(summary.varentropy, square - mean * mean, 1e-13);
}

TEST(SoftmaxState, AnInfiniteScoreIsNotTakenForCertainty) {
  const double infinity = std::numeric_limits<double>::infinity();
  const SoftmaxState state = SoftmaxState::of(infinity).merged(SoftmaxState::of(0));
  EXPECT_TRUE(std::isnan(state.z));
  EXPECT_TRUE(std::isnan(state.probability(infinity)));
}

}  // namespace
}  // namespace surprisal
