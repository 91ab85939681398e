#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace surprisal {

/// A row of logits sorted into narrow buckets, largest first. What the `count` most likely tokens
/// weigh, how many reach a mass or a threshold, and which value ends them is then found at any
/// temperature without sorting the row: per bucket the moments of its logits are known, whose
/// Taylor series gives the sum of exponentials to within rounding, and only the bucket in which an
/// answer lies is sorted. Costs about as much as one pass of exponentials. For one thread.
class LogitBuckets {
 public:
  /// @param logits   [V], finite or -inf (banned: in no bucket), at least one finite
  /// @param maximum  the largest
  LogitBuckets(std::span<const float> logits, float maximum);

  /// ln of the sum of exp(scale * l) over the `count` largest; count > 0.
  double log_sum_exp(double scale, size_t count);
  /// The fewest of the `within` largest whose softmax mass among these reaches p. Nothing where
  /// rounding could decide: a sum in another order might then stop at another token.
  std::optional<size_t> nucleus(double scale, double p, size_t within);
  /// How many have scale * l >= threshold.
  size_t count_from(double scale, double threshold);

  /// The smallest of the `count` largest, and how many of these equal it.
  struct Last {
    float logit;
    size_t equal;
    bool splits_tie;  ///< whether an equal one is not among them
  };
  Last last_of(size_t count);

 private:
  static constexpr size_t kBuckets = 4096;
  static constexpr size_t kPerNat =
      64;  // 64 nats below the largest; the last bucket holds the rest
  static constexpr size_t kMoments = 7;  // sums of d^0 to d^6, d from the bucket's middle
  using Moments = std::array<double, kMoments>;
  class Exponential;

  size_t size() const { return begin_.back(); }
  /// Calls visit(index, bucket) for every logit; banned ones have bucket kBuckets.
  template <typename Visit>
  void for_each_bucket(std::span<const float> logits, Visit visit) const;
  /// The bucket of the logit with this rank.
  size_t bucket_of(size_t rank) const;
  /// The logits of a bucket in descending order.
  std::span<const float> sorted(size_t bucket);
  double middle(size_t bucket) const {
    return maximum_ - (static_cast<double>(bucket) + 0.5) / double{kPerNat};
  }
  double weight(double scale, float logit) const;
  /// Sum of weights before each bucket, and behind the last that of all.
  const std::vector<double>& masses(double scale);
  double mass(double scale, size_t count);

  float maximum_;
  std::unique_ptr<float[]> logits_;  ///< [V] bucket by bucket
  std::vector<size_t> begin_;        ///< [kBuckets + 1] where each begins in logits_
  std::vector<bool> is_sorted_;
  std::vector<Moments> moments_;  ///< [kBuckets]
  std::map<double, std::vector<double>> masses_;
};

}  // namespace surprisal
