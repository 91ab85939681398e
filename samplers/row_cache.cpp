#include "samplers/row_cache.h"

#include <algorithm>

namespace surprisal {
std::span<const RankedLogit> RowCache::top(std::span<const float> row, size_t count) {
  if (top_.size() < count && !complete_) {
    const size_t wanted = count <= kFewest ? kFewest : std::max(count, kLongest);
    top_ = top_logits(row, wanted);
    complete_ = top_.size() < wanted;
  }
  return top_;
}

int32_t RowCache::rank(std::span<const float> row, int32_t token) {
  const auto id = static_cast<size_t>(token);
  const auto likely = top(row, kFewest);
  const auto found = std::ranges::find(likely, token, &RankedLogit::index);
  if (found != likely.end()) return static_cast<int32_t>(found - likely.begin());
  int32_t rank = 0;
  for (size_t i = 0; i < id; ++i) rank += row[i] >= row[id];
  for (size_t i = id + 1; i < row.size(); ++i) rank += row[i] > row[id];
  return rank;
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
