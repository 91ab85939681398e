#include "models/simd.h"

#include <cmath>

// Highway includes this file anew for each instruction set; the best the processor has is called.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/simd.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace surprisal::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most kPaddingUnit lanes, so that padded arrays are whole vectors.
using Float = hn::CappedTag<float, kPaddingUnit>;

void dot_products(const float* q, int64_t group, const float* k, int64_t count, int64_t dim,
                  float scale, float* out, int64_t stride) {
  const Float d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t g = 0; g < group; ++g) {
    const float* query = q + g * dim;
    for (int64_t j = 0; j < count; ++j) {
      const float* key = k + j * dim;
      auto even = hn::Zero(d), odd = hn::Zero(d);  // two chains hide the latency of the sums
      int64_t i = 0;
      for (; i + 2 * lanes <= dim; i += 2 * lanes) {
        even = hn::MulAdd(hn::LoadU(d, query + i), hn::LoadU(d, key + i), even);
        odd = hn::MulAdd(hn::LoadU(d, query + i + lanes), hn::LoadU(d, key + i + lanes), odd);
      }
      for (; i + lanes <= dim; i += lanes)
        even = hn::MulAdd(hn::LoadU(d, query + i), hn::LoadU(d, key + i), even);
      float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
      for (; i < dim; ++i) total += query[i] * key[i];
      out[g * stride + j] = total * scale;
    }
  }
}

void accumulate(const float* weight, int64_t group, int64_t stride, const float* v, int64_t count,
                int64_t dim, float* out) {
  const Float d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t g = 0; g < group; ++g) {
    const float* w = weight + g * stride;
    int64_t i = 0;
    for (; i + lanes <= dim; i += lanes) {
      auto total = hn::LoadU(d, out + g * dim + i);
      for (int64_t j = 0; j < count; ++j)
        total = hn::MulAdd(hn::Set(d, w[j]), hn::LoadU(d, v + j * dim + i), total);
      hn::StoreU(total, d, out + g * dim + i);
    }
    for (; i < dim; ++i)
      for (int64_t j = 0; j < count; ++j) out[g * dim + i] += w[j] * v[j * dim + i];
  }
}

float maximum(const float* values, int64_t count) {
  const Float d;
  auto top = hn::LoadU(d, values);
  for (int64_t j = 0; j < count; j += static_cast<int64_t>(hn::Lanes(d)))
    top = hn::Max(top, hn::LoadU(d, values + j));
  return hn::GetLane(hn::MaxOfLanes(d, top));
}

Sums exponentials(float* values, int64_t count, float shift) {
  const Float d;
  auto z = hn::Zero(d), a = hn::Zero(d), b = hn::Zero(d);
  for (int64_t j = 0; j < count; j += static_cast<int64_t>(hn::Lanes(d))) {
    const auto distance = hn::Sub(hn::LoadU(d, values + j), hn::Set(d, shift));
    // Highway's exponential of NaN is 0, which would hide it.
    const auto e = hn::IfThenElse(hn::IsNaN(distance), distance, hn::Exp(d, distance));
    hn::StoreU(e, d, values + j);
    const auto moment = hn::Mul(e, distance);
    z = hn::Add(z, e);
    a = hn::Add(a, moment);
    b = hn::MulAdd(moment, distance, b);
  }
  return {hn::GetLane(hn::SumOfLanes(d, z)), hn::GetLane(hn::SumOfLanes(d, a)),
          hn::GetLane(hn::SumOfLanes(d, b))};
}

float sum_of_magnitudes(const float* values, int64_t count) {
  const Float d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto total = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) total = hn::Add(total, hn::Abs(hn::LoadU(d, values + j)));
  float result = hn::GetLane(hn::SumOfLanes(d, total));
  for (; j < count; ++j) result += std::abs(values[j]);
  return result;
}

double total_deviation(const float* values, int64_t heads, int64_t stride, int64_t count,
                       const float* scale) {
  const Float d;
  auto total = hn::Zero(d);
  const auto share = hn::Set(d, 1 / static_cast<float>(heads));
  for (int64_t j = 0; j < count; j += static_cast<int64_t>(hn::Lanes(d))) {
    const auto probability = [&](int64_t h) {
      return hn::Mul(hn::LoadU(d, values + h * stride + j), hn::Set(d, scale[h]));
    };
    auto mean = hn::Zero(d);
    for (int64_t h = 0; h < heads; ++h) mean = hn::Add(mean, probability(h));
    mean = hn::Mul(mean, share);
    for (int64_t h = 0; h < heads; ++h)
      total = hn::Add(total, hn::Abs(hn::Sub(probability(h), mean)));
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

void widen_bfloat16(const uint16_t* from, int64_t count, float* to) {
  const Float d;
  const hn::RebindToUnsigned<Float> bits;
  const hn::Rebind<uint16_t, Float> half;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half, from + i)))), d,
               to + i);
  for (; i < count; ++i) {
    hwy::bfloat16_t value;
    value.bits = from[i];
    to[i] = hwy::F32FromBF16(value);
  }
}

void widen_float16(const uint16_t* from, int64_t count, float* to) {
  const hn::CappedTag<float, kPaddingUnit> d;
  const hn::Rebind<hwy::float16_t, Float> half;
  const auto* values = reinterpret_cast<const hwy::float16_t*>(from);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(half, values + i)), d, to + i);
  const hn::CappedTag<float, 1> one;
  const hn::Rebind<hwy::float16_t, hn::CappedTag<float, 1>> half_one;
  for (; i < count; ++i)
    hn::StoreU(hn::PromoteTo(one, hn::LoadU(half_one, values + i)), one, to + i);
}

}  // namespace surprisal::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal::simd {

HWY_EXPORT(dot_products);
HWY_EXPORT(accumulate);
HWY_EXPORT(maximum);
HWY_EXPORT(exponentials);
HWY_EXPORT(sum_of_magnitudes);
HWY_EXPORT(total_deviation);
HWY_EXPORT(widen_bfloat16);
HWY_EXPORT(widen_float16);

void dot_products(const float* q, int64_t group, const float* k, int64_t count, int64_t dim,
                  float scale, float* out, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(dot_products)(q, group, k, count, dim, scale, out, stride);
}
void accumulate(const float* weight, int64_t group, int64_t stride, const float* v, int64_t count,
                int64_t dim, float* out) {
  HWY_DYNAMIC_DISPATCH(accumulate)(weight, group, stride, v, count, dim, out);
}
float maximum(const float* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(maximum)(values, count);
}
Sums exponentials(float* values, int64_t count, float shift) {
  return HWY_DYNAMIC_DISPATCH(exponentials)(values, count, shift);
}
float sum_of_magnitudes(const float* values, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(sum_of_magnitudes)(values, count);
}
double total_deviation(const float* values, int64_t heads, int64_t stride, int64_t count,
                       const float* scale) {
  return HWY_DYNAMIC_DISPATCH(total_deviation)(values, heads, stride, count, scale);
}
void widen_bfloat16(const uint16_t* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(widen_bfloat16)(from, count, to);
}
void widen_float16(const uint16_t* from, int64_t count, float* to) {
  HWY_DYNAMIC_DISPATCH(widen_float16)(from, count, to);
}

}  // namespace surprisal::simd
#endif
