#include "lib/top_logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <limits>

// Highway includes this file anew for each instruction set; the best the processor has is called.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/top_logits.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/cache_control.h>
#include <hwy/contrib/sort/vqsort.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace surprisal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kRowAhead = 2048;  // 8 KiB

/// The largest of each `block` logits, a multiple of 16; a rest has one as well.
void block_maxima(const float* logits, size_t count, size_t block, float* maxima) {
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  const auto lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (; count >= block; count -= block, logits += block) {
    auto largest = lowest;
    for (size_t i = 0; i < block; i += lanes) {
      hwy::Prefetch(logits + i + kRowAhead);  // most of a row may come from memory
      largest = hn::Max(largest, hn::LoadU(d, logits + i));
    }
    *maxima++ = hn::GetLane(hn::MaxOfLanes(d, largest));
  }
  if (count > 0) *maxima = *std::max_element(logits, logits + count);
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

HWY_EXPORT(block_maxima);
HWY_EXPORT(at_least);

namespace {

constexpr size_t kBlock = 64, kSmallBlock = 16;
constexpr size_t kManyKeys = 1024;  // from here on Highway's sort takes less time

/// A logit and its index: the larger, the earlier in the order.
uint64_t key_of(float logit, size_t index) {
  const auto bits = std::bit_cast<uint32_t>(logit + 0.0F);  // -0 equals 0
  constexpr uint32_t kSign = 0x8000'0000;
  const uint32_t ascending = bits & kSign ? ~bits : bits | kSign;
  return uint64_t{ascending} << 32 | ~static_cast<uint32_t>(index);
}

int32_t index_of(uint64_t key) {
  return static_cast<int32_t>(~static_cast<uint32_t>(key));
}

/// Appends what is >= threshold among the logits from `begin` on, `length` of them or all there
/// are.
void append_at_least(std::span<const float> logits, size_t begin, size_t length, float threshold,
                     std::vector<uint64_t>& keys) {
  constexpr size_t kVector = 64;  // the longest of any target
  std::array<int32_t, kBlock + kVector> places;
  std::array<float, kBlock + kVector> values;
  const size_t count =
      HWY_DYNAMIC_DISPATCH(at_least)(logits.data() + begin, std::min(length, logits.size() - begin),
                                     threshold, places.data(), values.data());
  for (size_t i = 0; i < count; ++i)
    keys.push_back(key_of(values[i], begin + static_cast<size_t>(places[i])));
}

void sort_descending(std::vector<uint64_t>& keys) {
  if (keys.size() < kManyKeys)
    std::sort(keys.begin(), keys.end(), std::greater<>());
  else
    hwy::Sorter()(keys.data(), keys.size(), hwy::SortDescending());
}

}  // namespace

std::vector<RankedLogit> top_logits(std::span<const float> logits, size_t count) {
  if (count == 0) return {};
  const size_t length = count <= logits.size() / kBlock ? kBlock : kSmallBlock;
  std::vector<float> maxima((logits.size() + length - 1) / length);
  HWY_DYNAMIC_DISPATCH(block_maxima)(logits.data(), logits.size(), length, maxima.data());
  // Where `count` parts of the row reach a threshold, each has a logit that does: what is smaller,
  // and blocks that hold nothing else, are not among the wanted. Fewer parts are sorted sooner.
  float threshold = std::numeric_limits<float>::lowest();
  std::vector<float> parts = maxima;
  for (; parts.size() / 4 > count; parts.resize(parts.size() / 2))
    for (size_t i = 0; i < parts.size() / 2; ++i)
      parts[i] = std::max(parts[2 * i], parts[2 * i + 1]);
  if (count <= parts.size()) {
    const auto last = parts.begin() + static_cast<ptrdiff_t>(count) - 1;
    std::nth_element(parts.begin(), last, parts.end(), std::greater<>());
    threshold = std::max(threshold, *last);
  }
  std::vector<uint64_t> keys;
  for (size_t block = 0; block < maxima.size(); ++block)
    if (maxima[block] >= threshold)
      append_at_least(logits, block * length, length, threshold, keys);
  sort_descending(keys);
  keys.resize(std::min(count, keys.size()));
  std::vector<RankedLogit> found;
  found.reserve(keys.size());
  for (const uint64_t key : keys)
    found.push_back({index_of(key), logits[static_cast<size_t>(index_of(key))]});
  return found;
}

}  // namespace surprisal
#endif  // HWY_ONCE
