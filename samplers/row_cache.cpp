#include "samplers/row_cache.h"

#include <algorithm>

namespace surprisal {
std::span<const RankedLogit> RowCache::top(std::span<const float> row, size_t count) {
  if (top_.size() < count && !complete_) {
    const size_t wanted = std::max(count, kFewest);
    top_ = top_logits(row, wanted);
    complete_ = top_.size() < wanted;
  }
  return top_;
}

const DistributionStatistics& RowCache::statistics(std::span<const float> row, double scale) {
  const auto known = heated_.find(scale);
  if (known != heated_.end()) return known->second;
  return heated_[scale] = distribution_statistics(row, scale);
}

LogitBuckets& RowCache::buckets(std::span<const float> row, float maximum) {
  if (!buckets_) buckets_.emplace(row, maximum);
  return *buckets_;
}

std::span<const TokenWord> RowCache::likely_noise(const Draws& draws, uint32_t draw, size_t tokens,
                                                  double least) {
  const auto [known, is_new] = noise_.try_emplace({draws, draw});
  Noise& noise = known->second;
  if (is_new || least < noise.least) {
    noise.least = std::min(least, kCommonNoise);
    noise.tokens = surprisal::likely_noise(draws, draw, static_cast<uint32_t>(tokens), noise.least);
  }
  return noise.tokens;
}

}  // namespace surprisal
