#include "models/cpu/vector_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/cpu/vector_kernels.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
// The first of these compiles this file anew for each target.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
#include "models/cpu/exponential-inl.h"
// clang-format on

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;
constexpr int64_t kLanes = HWY_LANES(float);

void rms_norm(const float* x, const float* weight, int64_t n, float epsilon, float* y) {
  const Floats d;
  constexpr int64_t kSums = kRowPadding / kLanes > 1 ? 2 : 1;  // independent additions
  Vector squares[kSums];
  for (Vector& s : squares) s = hn::Zero(d);
  for (int64_t i = 0; i < n; i += kSums * kLanes) {
    for (int64_t j = 0; j < kSums; ++j) {
      const Vector v = hn::LoadU(d, x + i + j * kLanes);
      squares[j] = hn::MulAdd(v, v, squares[j]);
    }
  }
  for (int64_t j = 1; j < kSums; ++j) squares[0] = hn::Add(squares[0], squares[j]);
  const float mean = hn::GetLane(hn::SumOfLanes(d, squares[0])) / static_cast<float>(n);
  const Vector scale = hn::Set(d, 1.0f / std::sqrt(mean + epsilon));
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vector normal = hn::Mul(hn::LoadU(d, x + i), scale);
    hn::StoreU(hn::Mul(normal, hn::LoadU(d, weight + i)), d, y + i);
  }
}

void silu_multiply(float* gate, const float* up, int64_t n) {
  const Floats d;
  const Vector one = hn::Set(d, 1.0f), least = hn::Set(d, -87.0f);
  for (int64_t i = 0; i < n; i += kLanes) {
    // silu(g) = g / (1 + e^-g) = g e^g / (1 + e^g). Below -87 it becomes g e^-87, which is less
    // than 1.7e-38 |g| away; NaN and infinities stay what they are.
    const Vector g = hn::LoadU(d, gate + i);
    const Vector e = exponential<Results::kNormal>(d, hn::Max(least, hn::Neg(hn::Abs(g))));
    const Vector numerator = hn::IfThenElse(hn::Lt(g, hn::Zero(d)), hn::Mul(g, e), g);
    const Vector silu = hn::Div(numerator, hn::Add(one, e));
    hn::StoreU(hn::Mul(silu, hn::LoadU(d, up + i)), d, gate + i);
  }
}

template <class D>
HWY_INLINE void rotate_lanes(D d, float* x, const float* cos, const float* sin, int64_t half) {
  const auto low = hn::LoadU(d, x), high = hn::LoadU(d, x + half);
  const auto low_cos = hn::LoadU(d, cos), high_cos = hn::LoadU(d, cos + half);
  const auto low_sin = hn::LoadU(d, sin), high_sin = hn::LoadU(d, sin + half);
  hn::StoreU(hn::Sub(hn::Mul(low, low_cos), hn::Mul(high, low_sin)), d, x);
  hn::StoreU(hn::Add(hn::Mul(high, high_cos), hn::Mul(low, high_sin)), d, x + half);
}

void rotate(float* x, const float* cos, const float* sin, int64_t n) {
  const int64_t half = n / 2;
  int64_t i = 0;
  for (; i + kLanes <= half; i += kLanes) rotate_lanes(Floats(), x + i, cos + i, sin + i, half);
  for (; i < half; ++i) rotate_lanes(hn::CappedTag<float, 1>(), x + i, cos + i, sin + i, half);
}

template <class D>
HWY_INLINE void round_lanes(D d, const float* x, uint16_t* y) {
  const hn::RebindToUnsigned<D> words;
  const hn::Rebind<uint16_t, D> halves;
  const auto v = hn::LoadU(d, x);
  const auto bits = hn::BitCast(words, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1u));
  const auto up = hn::ShiftRight<16>(hn::Add(hn::Add(bits, odd), hn::Set(words, 0x7fffu)));
  const auto rounded =
      hn::IfThenElse(hn::RebindMask(words, hn::IsNaN(v)), hn::Set(words, 0x7fc0u), up);
  hn::StoreU(hn::TruncateTo(halves, rounded), halves, y);
}

void round(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) round_lanes(Floats(), x + i, y + i);
  for (; i < n; ++i) round_lanes(hn::CappedTag<float, 1>(), x + i, y + i);
}

constexpr VectorKernels kVectorKernels = {rms_norm, silu_multiply, rotate, round};

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

const VectorKernels& vector_kernels(CpuPath path) {
#if HWY_TARGETS & HWY_AVX3
  if (path >= CpuPath::kAvx512) return N_AVX3::kVectorKernels;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (path == CpuPath::kAvx2) return N_AVX2::kVectorKernels;
#endif
  return HWY_STATIC_DISPATCH(kVectorKernels);
}

}  // namespace surprisal
#endif
