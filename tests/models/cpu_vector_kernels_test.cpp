// The light kernels against plain arithmetic, on every path.

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "models/cpu/vector_kernels.h"

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

TEST_P(VectorKernelsTest, SiluIsRightToFourUnitsInTheLastPlace) {
  // 1.2 units of the exponential and half of them again in the sum, and half a unit each for the
  // sum, the quotient and two products.
  constexpr double kTolerance = (1.2 + 0.6 + 4 * 0.5) * 0x1p-23;
  std::vector<float> gate;
  for (float g = 1e-30f; g < 1e4f; g *= 1.0031f) gate.insert(gate.end(), {g, -g});
  for (float g = -87; g < 90; g += 0.0137f) gate.push_back(g);
  gate.insert(gate.end(), {0.0f, -0.0f, 1e30f, 2e38f});
  gate.resize(gate.size() / kRowPadding * kRowPadding + kRowPadding);
  std::vector<float> up(gate.size()), result = gate;
  for (size_t i = 0; i < up.size(); ++i) up[i] = i % 2 == 0 ? 0.75f : -1.25f;
  kernels_.silu_multiply(result.data(), up.data(), static_cast<int64_t>(gate.size()));
  for (size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i], expected = g / (1 + std::exp(-g)) * up[i];
    const double below = g < -87 ? 1.7e-38 * -g : 1e-44;  // least subnormal numbers, too
    ASSERT_NEAR(result[i], expected, std::abs(expected) * kTolerance + 2 * below) << g;
  }
}

TEST_P(VectorKernelsTest, SiluKeepsWhatIsNoNumberInSight) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> gate(kRowPadding, 1.0f), up(kRowPadding, 1.0f);
  gate[0] = kInfinity;
  gate[1] = -kInfinity;
  gate[2] = std::numeric_limits<float>::quiet_NaN();
  up[3] = std::numeric_limits<float>::quiet_NaN();
  kernels_.silu_multiply(gate.data(), up.data(), kRowPadding);
  for (size_t i = 0; i < kRowPadding; ++i) EXPECT_EQ(std::isfinite(gate[i]), i > 3) << i;
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

}  // namespace
}  // namespace surprisal
