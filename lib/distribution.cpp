#include "lib/distribution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
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

// e^x for x in [-700, 0], to 1e-14: x = n ln 2 + r, |r| <= ln 2 / 2, and e^r by its series up to
// r^11. Highway's serves all x, at about twice the instructions.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, V x) {
  const hn::RebindToUnsigned<D> bits;
  // Of 1.5 x 2^52 + n the lowest bits are n.
  const V whole = hn::Set(d, 6755399441055744.0);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.4426950408889634), whole);
  const V n = hn::Sub(shifted, whole);
  const V power = hn::BitCast(
      d, hn::ShiftLeft<52>(hn::Add(hn::BitCast(bits, shifted), hn::Set(bits, uint64_t{1023}))));
  // ln 2 in two parts, n times the first of which is exact.
  V r = hn::NegMulAdd(n, hn::Set(d, 0x1.62e42feep-1), x);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.a39ef35793c76p-33), r);
  const auto pair = [&](double high, double low) HWY_ATTR {
    return hn::MulAdd(r, hn::Set(d, 1 / high), hn::Set(d, 1 / low));
  };
  const V r2 = hn::Mul(r, r), r4 = hn::Mul(r2, r2), r8 = hn::Mul(r4, r4);
  const V first = hn::MulAdd(pair(6, 2), r2, hn::Add(r, hn::Set(d, 1.0)));
  const V second = hn::MulAdd(pair(5040, 720), r2, pair(120, 24));
  const V third = hn::MulAdd(pair(39916800, 3628800), r2, pair(362880, 40320));
  return hn::Mul(hn::MulAdd(third, r8, hn::MulAdd(second, r4, first)), power);
}

Moments exponential_moments(const float* logits, size_t count, float maximum, double scale) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const size_t lanes = hn::Lanes(d);
  const auto shift = hn::Set(d, static_cast<double>(maximum));
  const auto factor = hn::Set(d, scale);
  const auto floor = hn::Set(d, -700.0);  // what lies lower counts as 0, and -inf gives no NaN
  auto z = hn::Zero(d), a = hn::Zero(d), b = hn::Zero(d);
  const auto add = [&](auto x32) {
    const auto x = hn::Max(hn::Mul(hn::Sub(hn::PromoteTo(d, x32), shift), factor), floor);
    const auto w = hn::IfThenElseZero(hn::Gt(x, floor), exponential(d, x));
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

/// Writes the logits >= threshold and their places; both outputs need room for `count` and one
/// vector more. @return how many
size_t at_least(const float* logits, size_t count, float threshold, int32_t* places,
                float* values) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const auto least = hn::Set(d, threshold);
  size_t found = 0, i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::LoadU(d, logits + i);
    const auto large = hn::Ge(x, least);
    if (hn::AllFalse(d, large)) continue;
    const auto place = hn::Iota(di, static_cast<int32_t>(i));
    hn::StoreU(hn::Compress(x, large), d, values + found);
    hn::StoreU(hn::Compress(place, hn::RebindMask(di, large)), di, places + found);
    found += hn::CountTrue(d, large);
  }
  for (; i < count; ++i)
    if (logits[i] >= threshold) {
      places[found] = static_cast<int32_t>(i);
      values[found++] = logits[i];
    }
  return found;
}

}  // namespace surprisal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

HWY_EXPORT(scan_row);
HWY_EXPORT(exponential_moments);
HWY_EXPORT(at_least);

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

namespace {

constexpr size_t kSampleStride = 64;  // a sample of V / 64 logits bounds where the top ones lie

constexpr auto ranks_before = [](const RankedLogit& x, const RankedLogit& y) {
  return x.logit > y.logit || (x.logit == y.logit && x.index < y.index);
};

void append_at_least(std::span<const float> logits, float threshold,
                     std::vector<RankedLogit>& out) {
  constexpr size_t kChunk = 4096;
  constexpr size_t kPadding = 256 / sizeof(float);  // the longest vectors of any target: 2,048 bits
  std::array<int32_t, kChunk + kPadding> places;
  std::array<float, kChunk + kPadding> values;
  for (size_t begin = 0; begin < logits.size(); begin += kChunk) {
    const size_t count = HWY_DYNAMIC_DISPATCH(at_least)(logits.data() + begin,
                                                        std::min(kChunk, logits.size() - begin),
                                                        threshold, places.data(), values.data());
    for (size_t i = 0; i < count; ++i)
      out.push_back({static_cast<int32_t>(begin) + places[i], values[i]});
  }
}

}  // namespace

std::vector<RankedLogit> top_logits(std::span<const float> logits, size_t count) {
  std::vector<RankedLogit> found;
  if (count == 1) {  // two straight passes take less time than a sample all over the row and one
    const RowScan row = HWY_DYNAMIC_DISPATCH(scan_row)(logits.data(), logits.size());
    if (row.usable && row.support > 0) return {{static_cast<int32_t>(row.argmax), row.first}};
  }
  const size_t sampled = logits.size() / kSampleStride;
  // Twice the expected rank and a few: seldom too few, and a miss only costs another pass.
  for (size_t rank = 2 * count / kSampleStride + 3; rank < sampled / 2; rank *= 4) {
    std::vector<float> sample(sampled);
    for (size_t i = 0; i < sampled; ++i) sample[i] = logits[i * kSampleStride];
    const auto at = sample.begin() + static_cast<ptrdiff_t>(rank);
    std::nth_element(sample.begin(), at, sample.end(), std::greater<>());
    if (!std::isfinite(*at)) break;
    found.clear();
    append_at_least(logits, *at, found);
    if (found.size() >= count) break;
    found.clear();
  }
  if (found.empty()) append_at_least(logits, std::numeric_limits<float>::lowest(), found);
  const auto end = found.begin() + static_cast<ptrdiff_t>(std::min(count, found.size()));
  if (end != found.end()) std::nth_element(found.begin(), end, found.end(), ranks_before);
  found.erase(end, found.end());
  std::sort(found.begin(), found.end(), ranks_before);
  return found;
}

}  // namespace surprisal
#endif  // HWY_ONCE
