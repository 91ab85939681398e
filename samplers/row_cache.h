#pragma once

#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lib/distribution.h"
#include "lib/likely_noise.h"
#include "lib/logit_buckets.h"
#include "lib/top_logits.h"

namespace surprisal {

/// What depends on a row of logits alone, or on a draw alone, and was worked out for one request is
/// kept here for all others that look at the row. Belongs to one row; for one thread.
class RowCache {
 public:
  /// What costs hardly more than fewer.
  static constexpr size_t kFewest = 64;
  /// A prefix of the order up to this long is worth a list.
  static constexpr size_t kLongest = 256;
  /// Lists of noise reach down to this at least: 2 % of the tokens, which serve other settings too.
  /// A token near the top nearly always beats what lies that far below it.
  static constexpr double kCommonNoise = 4;

  /// The `count` most likely, at least; see top_logits().
  std::span<const RankedLogit> top(std::span<const float> row, size_t count);
  /// Number of tokens that are more likely than `token`; among equals the lower id comes first.
  int32_t rank(std::span<const float> row, int32_t token);
  /// distribution_statistics(row, scale)
  const DistributionStatistics& statistics(std::span<const float> row, double scale);
  /// @param maximum  the row's largest
  LogitBuckets& buckets(std::span<const float> row, float maximum);
  /// likely_noise() of the row's tokens, at least.
  std::span<const TokenWord> likely_noise(const Draws& draws, uint32_t draw, size_t tokens,
                                          double least);

 private:
  struct Noise {
    double least;
    std::vector<TokenWord> tokens;
  };

  std::vector<RankedLogit> top_;
  bool complete_ = false;  ///< top_ holds every candidate
  std::map<double, DistributionStatistics> heated_;
  std::optional<LogitBuckets> buckets_;
  std::map<std::pair<Draws, uint32_t>, Noise> noise_;
};

}  // namespace surprisal
