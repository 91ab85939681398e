#pragma once

#include <cstddef>
#include <span>

#include "experiments/statistics/proportion.h"

namespace surprisal {

/// How well a score tells positives from negatives: the chance that a random positive scores
/// higher than a random negative, ties counted half. 0.5: not at all.
/// The interval is that of ln(A / (1 - A)) at the variance for clustered data (several answers to a
/// question are not independent), with one member a cluster DeLong's:
///   S10 / m + S01 / n + 2 S11 / (m n), from the clusters' sums of placements
/// No interval (NaN) where A is 0 or 1 or a class has fewer than two clusters; A is NaN without a
/// positive or a negative.
/// @param clusters  numbered from 0 without gaps
/// @throws Error(kInternal) on spans of different lengths or a score that is not finite
/// Ref: Obuchowski, Biometrics 1997, 53:567-578; DeLong et al., Biometrics 1988.
Proportion clustered_auroc(std::span<const double> scores, std::span<const unsigned char> positive,
                           std::span<const size_t> clusters, double confidence = 0.95);

}  // namespace surprisal
