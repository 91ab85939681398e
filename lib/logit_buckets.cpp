#include "lib/logit_buckets.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

// Highway includes this file anew for each instruction set; the best the processor has is called.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/logit_buckets.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>
#include "lib/exponential-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace surprisal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The bucket of each logit: `per_nat` a nat below `maximum`, the last for all that lie lower, and
/// one more for those that are -inf. Both arrays reach to a vector's end.
void assign_buckets(const float* logits, size_t count, float maximum, float per_nat, int32_t last,
                    uint16_t* buckets) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const auto top = hn::Set(d, maximum), factor = hn::Set(d, per_nat);
  const auto lowest = hn::Set(d, static_cast<float>(last));
  const auto banned = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto banned_bucket = hn::Set(d, static_cast<float>(last + 1));
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto x = hn::LoadU(d, logits + i);
    const auto place = hn::Min(hn::Mul(hn::Sub(top, x), factor), lowest);
    const auto bucket = hn::ConvertTo(di, hn::IfThenElse(hn::Eq(x, banned), banned_bucket, place));
    hn::StoreU(hn::DemoteTo(d16, bucket), d16, buckets + i);
  }
}

/// Sums of (l - middle)^k for k = 1 .. 6; what lies behind `count` up to a vector's end is
/// readable.
void central_moments(const float* logits, size_t count, double middle, double* sums) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const auto shift = hn::Set(d, middle);
  auto m1 = hn::Zero(d), m2 = m1, m3 = m1, m4 = m1, m5 = m1, m6 = m1;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto inside = hn::FirstN(d, count - i);
    const auto x =
        hn::IfThenElseZero(inside, hn::Sub(hn::PromoteTo(d, hn::LoadU(d32, logits + i)), shift));
    const auto x2 = hn::Mul(x, x), x4 = hn::Mul(x2, x2);
    m1 = hn::Add(m1, x);
    m2 = hn::Add(m2, x2);
    m3 = hn::MulAdd(x2, x, m3);
    m4 = hn::Add(m4, x4);
    m5 = hn::MulAdd(x4, x, m5);
    m6 = hn::MulAdd(x4, x2, m6);
  }
  size_t k = 0;
  for (const auto& m : {m1, m2, m3, m4, m5, m6}) sums[++k] = hn::GetLane(hn::SumOfLanes(d, m));
}

/// Sum of exp(scale * (l - maximum)); what lies behind `count` up to a vector's end is readable.
double exponential_sum(const float* logits, size_t count, double maximum, double scale) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d32;
  const auto shift = hn::Set(d, maximum), factor = hn::Set(d, scale);
  const auto lowest = hn::Set(d, kVanishingExponent);
  auto sum = hn::Zero(d);
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto x = hn::Mul(hn::Sub(hn::PromoteTo(d, hn::LoadU(d32, logits + i)), shift), factor);
    sum = hn::Add(sum,
                  hn::IfThenElseZero(hn::FirstN(d, count - i), exponential(d, hn::Max(x, lowest))));
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

}  // namespace surprisal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

HWY_EXPORT(assign_buckets);
HWY_EXPORT(central_moments);
HWY_EXPORT(exponential_sum);

namespace {

constexpr size_t kPadding = 256 / sizeof(float);  // the longest vectors of any target: 2,048 bits
// Up to here the series' remainder, (scale / 128)^7 / 7!, stays below 1e-15 of a bucket's mass.
constexpr double kLargestSeriesScale = 3.2;
// Sums of up to 10^6 probabilities in double, in any order, lie within this of each other.
constexpr double kDoubt = 1e-10;
constexpr double kVanishes = -60;  // a million times e^x is less than rounding loses of 1

}  // namespace

LogitBuckets::LogitBuckets(std::span<const float> logits, float maximum)
    : maximum_(maximum), begin_(kBuckets + 1), is_sorted_(kBuckets), moments_(kBuckets) {
  std::array<uint32_t, kBuckets + 1> next{};  // counts first, then where the next logit goes
  for_each_bucket(logits, [&](size_t, size_t bucket) { ++next[bucket]; });
  size_t placed = 0;
  for (size_t b = 0; b <= kBuckets; ++b) {  // banned ones go behind the rest, unread
    begin_[b] = placed;
    placed += std::exchange(next[b], static_cast<uint32_t>(placed));
  }
  logits_ = std::make_unique_for_overwrite<float[]>(logits.size() + kPadding);
  std::fill_n(logits_.get() + logits.size(), kPadding, 0.0F);
  for_each_bucket(logits, [&](size_t i, size_t bucket) { logits_[next[bucket]++] = logits[i]; });
  for (size_t b = 0; b + 1 < kBuckets; ++b) {
    const size_t count = begin_[b + 1] - begin_[b];
    if (count == 0) continue;
    moments_[b][0] = static_cast<double>(count);
    HWY_DYNAMIC_DISPATCH(central_moments)
    (logits_.get() + begin_[b], count, middle(b), moments_[b].data());
  }
}

template <typename Visit>
void LogitBuckets::for_each_bucket(std::span<const float> logits, Visit visit) const {
  constexpr size_t kChunk = 4096;
  std::array<float, kChunk> last{};  // so that vectors may reach beyond the row
  std::array<uint16_t, kChunk> buckets;
  for (size_t begin = 0; begin < logits.size(); begin += kChunk) {
    const size_t count = std::min(kChunk, logits.size() - begin);
    const float* values = logits.data() + begin;
    if (count < kChunk) values = std::copy_n(values, count, last.data()) - count;
    HWY_DYNAMIC_DISPATCH(assign_buckets)
    (values, count, maximum_, float{kPerNat}, kBuckets - 1, buckets.data());
    for (size_t i = 0; i < count; ++i) visit(begin + i, buckets[i]);
  }
}

double LogitBuckets::weight(double scale, float logit) const {
  return std::exp(scale * (static_cast<double>(logit) - maximum_));
}

/// exp(scale * d) for the buckets' middles and, as a series, for the logits around them.
class LogitBuckets::Exponential {
 public:
  explicit Exponential(double scale) {
    double power = 1;
    for (size_t k = 0; k < kMoments; ++k) {
      powers_[k] = power;
      power *= scale / static_cast<double>(k + 1);
    }
    for (size_t i = 0; i < kPerNat; ++i)
      fine_[i] = std::exp(-scale * (static_cast<double>(i) + 0.5) / kPerNat);
    for (size_t i = 0; i < kBuckets / kPerNat; ++i)
      whole_[i] = std::exp(-scale * static_cast<double>(i));
  }
  double sum(size_t bucket, const Moments& moments) const {
    double sum = 0;
    for (size_t k = 0; k < kMoments; ++k) sum += powers_[k] * moments[k];
    return sum * whole_[bucket / kPerNat] * fine_[bucket % kPerNat];
  }

 private:
  std::array<double, kMoments> powers_;  ///< scale^k / k!
  std::array<double, kPerNat> fine_;
  std::array<double, kBuckets / kPerNat> whole_;
};

const std::vector<double>& LogitBuckets::masses(double scale) {
  const auto [known, is_new] = masses_.try_emplace(scale);
  if (!is_new) return known->second;
  const Exponential exponential(scale);
  const bool by_series = scale <= kLargestSeriesScale;
  std::vector<double>& before = known->second;
  before.resize(kBuckets + 1);
  for (size_t b = 0; b < kBuckets; ++b) {
    const size_t begin = begin_[b], end = begin_[b + 1];
    const double largest = -static_cast<double>(b) / kPerNat;
    double mass = 0;
    if (begin != end && scale * largest >= kVanishes)
      mass = by_series && b + 1 < kBuckets
                 ? exponential.sum(b, moments_[b])
                 : HWY_DYNAMIC_DISPATCH(exponential_sum)(logits_.get() + begin, end - begin,
                                                         maximum_, scale);
    before[b + 1] = before[b] + mass;
  }
  return before;
}

size_t LogitBuckets::bucket_of(size_t rank) const {
  const auto after = std::upper_bound(begin_.begin(), begin_.end(), rank);
  return static_cast<size_t>(after - begin_.begin()) - 1;
}

std::span<const float> LogitBuckets::sorted(size_t bucket) {
  const std::span<float> logits =
      std::span(logits_.get() + begin_[bucket], begin_[bucket + 1] - begin_[bucket]);
  if (!is_sorted_[bucket]) std::sort(logits.begin(), logits.end(), std::greater<>());
  is_sorted_[bucket] = true;
  return logits;
}

double LogitBuckets::mass(double scale, size_t count) {
  const size_t bucket = bucket_of(count - 1);
  const std::vector<double>& before = masses(scale);
  if (count == begin_[bucket + 1]) return before[bucket + 1];
  double sum = before[bucket];
  for (const float logit : sorted(bucket).first(count - begin_[bucket]))
    sum += weight(scale, logit);
  return sum;
}

double LogitBuckets::log_sum_exp(double scale, size_t count) {
  return scale * maximum_ + std::log(mass(scale, count));
}

std::optional<size_t> LogitBuckets::nucleus(double scale, double p, size_t within) {
  const double total = mass(scale, within), wanted = p * total, doubt = kDoubt * total;
  const std::vector<double>& before = masses(scale);
  const auto reached = std::lower_bound(before.begin() + 1, before.end(), wanted);
  if (reached == before.end()) return std::nullopt;
  const auto bucket = static_cast<size_t>(reached - before.begin()) - 1;
  size_t count = begin_[bucket];
  double sum = before[bucket];
  for (const float logit : sorted(bucket)) {
    if (std::abs(sum - wanted) < doubt || sum >= wanted) break;
    sum += weight(scale, logit);
    ++count;
  }
  if (sum < wanted + doubt || count > within) return std::nullopt;
  return count;
}

size_t LogitBuckets::count_from(double scale, double threshold) {
  const auto reaches = [&](float logit) { return scale * static_cast<double>(logit) >= threshold; };
  // The last bucket whose largest possible logit reaches it, one bucket of slack for rounding.
  size_t first = 0, last = kBuckets;
  while (last - first > 1) {
    const size_t b = (first + last) / 2;
    (scale * (middle(b) + 1.0 / kPerNat) >= threshold ? first : last) = b;
  }
  for (size_t b = first + 1; b-- > 0;) {
    const auto logits = sorted(b);
    const auto end = std::partition_point(logits.begin(), logits.end(), reaches);
    if (end != logits.begin()) return begin_[b] + static_cast<size_t>(end - logits.begin());
  }
  return 0;
}

LogitBuckets::Last LogitBuckets::last_of(size_t count) {
  const size_t bucket = bucket_of(count - 1), within = count - begin_[bucket];
  const auto logits = sorted(bucket);
  const float last = logits[within - 1];
  const auto [first, end] = std::equal_range(logits.begin(), logits.end(), last, std::greater<>());
  return {last, within - static_cast<size_t>(first - logits.begin()),
          within < static_cast<size_t>(end - logits.begin())};
}

}  // namespace surprisal
#endif  // HWY_ONCE
