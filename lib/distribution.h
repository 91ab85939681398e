#pragma once

#include <cstdint>
#include <span>

namespace surprisal {

/// Summary of the softmax of one row of logits.
struct DistributionStatistics {
  double log_sum_exp = 0;  ///< nats
  double entropy = 0;      ///< H = -sum p ln p, nats
  double varentropy = 0;   ///< sum p (-ln p - H)^2, nats^2
  double max_probability = 0;
  double second_probability = 0;  ///< 0 when only one token has any
  int64_t argmax = -1;            ///< lowest id among equals
  int64_t support = 0;            ///< tokens with a probability, that is, not banned
};

/// Of softmax(scale * logits), accumulated in double. -inf means a banned token (probability 0,
/// 0 ln 0 = 0).
/// @param logits  [V] float32
/// @param scale   > 0; 1 / temperature
/// @throws Error(kNumeric) naming the index of a NaN or +inf, or on a row that is -inf throughout
DistributionStatistics distribution_statistics(std::span<const float> logits, double scale = 1);

}  // namespace surprisal
