#include "lib/distribution.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "lib/error.h"

#ifndef SURPRISAL_DISTRIBUTION_TYPES  // seen once, while the rest is compiled per instruction set
#define SURPRISAL_DISTRIBUTION_TYPES
namespace surprisal {

/// The two largest values (equal where the largest stands twice), where the first of them stands,
/// how many are above -inf, and whether all were usable.
struct RowScan {
  float first, second;
  size_t argmax, support;
  bool usable;
};

/// Z = sum e^d, A = sum e^d d, B = sum e^d d^2 of d = scale * (logit - maximum).
struct Moments {
  double z, a, b;
};

}  // namespace surprisal
#endif

// Highway includes this file anew for each instruction set; the best the processor has is called.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/distribution.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/cache_control.h>
#include <hwy/highway.h>
#include <hwy/contrib/algo/find-inl.h>
#include "lib/exponential-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace surprisal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kMaxLanes = HWY_MAX_BYTES / sizeof(float);
constexpr size_t kRowAhead = 2048;  // 8 KiB

RowScan scan_row(const float* logits, size_t count) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto infinity = hn::Set(d, std::numeric_limits<float>::infinity());
  auto first = hn::Neg(infinity), second = hn::Neg(infinity);
  auto usable = hn::Lt(first, infinity);
  size_t support = 0;
  const auto add = [&](auto x) {
    usable = hn::And(usable, hn::Lt(x, infinity));  // false for NaN too
    support += hn::CountTrue(d, hn::Gt(x, hn::Neg(infinity)));
    second = hn::Max(second, hn::Min(first, x));
    first = hn::Max(first, x);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    // Most of a row comes from memory, and hardware does not look beyond a page.
    hwy::Prefetch(logits + i + kRowAhead);
    add(hn::LoadU(d, logits + i));
  }
  HWY_ALIGN float rest[kMaxLanes];
  std::fill_n(rest, lanes, -std::numeric_limits<float>::infinity());
  std::copy(logits + i, logits + count, rest);
  add(hn::Load(d, rest));

  HWY_ALIGN float firsts[kMaxLanes];
  hn::Store(first, d, firsts);
  hn::Store(second, d, rest);
  RowScan result{firsts[0], rest[0], 0, support, hn::AllTrue(d, usable)};
  for (size_t lane = 1; lane < lanes; ++lane) {
    result.second = std::max({result.second, rest[lane], std::min(result.first, firsts[lane])});
    result.first = std::max(result.first, firsts[lane]);
  }
  result.argmax = hn::Find(d, result.first, logits, count);
  return result;
}

template <bool kScaled>
Moments sum_exponentials(const float* logits, size_t count, float maximum, double scale) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const size_t lanes = hn::Lanes(d);
  const auto shift = hn::Set(d, static_cast<double>(maximum));
  const auto factor = hn::Set(d, scale);
  const auto lowest = hn::Set(d, kVanishingExponent);  // so that -inf gives no NaN
  auto z = hn::Zero(d), a = hn::Zero(d), b = hn::Zero(d);
  const auto add = [&](auto x32) HWY_ATTR {
    auto x = hn::Sub(hn::PromoteTo(d, x32), shift);
    if constexpr (kScaled) x = hn::Mul(x, factor);
    x = hn::Max(x, lowest);
    const auto w = exponential(d, x);
    const auto wx = hn::Mul(w, x);
    z = hn::Add(z, w);
    a = hn::Add(a, wx);
    b = hn::MulAdd(wx, x, b);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) add(hn::LoadU(d32, logits + i));
  HWY_ALIGN float rest[kMaxLanes];
  std::fill_n(rest, lanes, -std::numeric_limits<float>::infinity());
  std::copy(logits + i, logits + count, rest);
  add(hn::Load(d32, rest));
  return {hn::GetLane(hn::SumOfLanes(d, z)), hn::GetLane(hn::SumOfLanes(d, a)),
          hn::GetLane(hn::SumOfLanes(d, b))};
}

Moments exponential_moments(const float* logits, size_t count, float maximum, double scale) {
  return scale == 1 ? sum_exponentials<false>(logits, count, maximum, scale)
                    : sum_exponentials<true>(logits, count, maximum, scale);
}

}  // namespace surprisal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

HWY_EXPORT(scan_row);
HWY_EXPORT(exponential_moments);

namespace {

/// Names what made a row unusable.
Error unusable_row(std::span<const float> logits) {
  for (size_t i = 0; i < logits.size(); ++i)
    if (!(logits[i] < std::numeric_limits<float>::infinity()))
      return Error(ErrorCode::kNumeric,
                   std::string("logits: ") + (std::isnan(logits[i]) ? "NaN" : "+inf") +
                       " at token " + std::to_string(i) +
                       "; expected finite values (-inf where a token is banned)");
  return Error(ErrorCode::kNumeric, "logits: every token is banned (-inf); none can be chosen");
}

}  // namespace

DistributionStatistics distribution_statistics(std::span<const float> logits, double scale) {
  const RowScan row = HWY_DYNAMIC_DISPATCH(scan_row)(logits.data(), logits.size());
  if (!row.usable || row.support == 0) throw unusable_row(logits);
  const auto [z, a, b] =
      HWY_DYNAMIC_DISPATCH(exponential_moments)(logits.data(), logits.size(), row.first, scale);
  const double mean = a / z;  // of ln p + log_sum_exp - maximum
  DistributionStatistics result;
  result.log_sum_exp = scale * row.first + std::log(z);
  result.entropy = std::max(0.0, std::log(z) - mean);
  result.varentropy = std::max(0.0, b / z - mean * mean);
  result.max_probability = 1 / z;
  result.second_probability = std::exp(scale * (static_cast<double>(row.second) - row.first)) / z;
  result.argmax = static_cast<int64_t>(row.argmax);
  result.support = static_cast<int64_t>(row.support);
  return result;
}

}  // namespace surprisal
#endif  // HWY_ONCE
