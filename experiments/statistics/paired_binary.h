#pragma once

#include <cstdint>

#include "experiments/statistics/interval.h"

namespace surprisal {

/// One right-or-wrong answer each of two methods to the same questions, counted.
struct PairedCounts {
  int64_t both = 0;         ///< both right
  int64_t only_first = 0;   ///< the first right, the second wrong
  int64_t only_second = 0;  ///< the second right, the first wrong
  int64_t neither = 0;

  int64_t total() const { return both + only_first + only_second + neither; }
  int64_t discordant() const { return only_first + only_second; }
};

/// The exact McNemar test: of the discordant pairs, is each side equally likely to win?
///   p = min(1, 2 P(X <= min(only_first, only_second))),  X ~ Binomial(discordant, 1/2)
/// 1 where there is no discordant pair. Conservative: its true level lies below the nominal one.
/// Ref: McNemar, Psychometrika 1947; the exact form as in statsmodels' mcnemar(exact=True).
double mcnemar_exact_p(int64_t only_first, int64_t only_second);

/// The smallest p that this many discordant pairs could give: 2^(1 - discordant), at most 1.
double smallest_mcnemar_p(int64_t discordant);

/// Tango's score interval for the difference of two paired proportions, first minus second: all d
/// for which
///   |b - c - n d| <= z sqrt(n (2 q + d (1 - d))),   b = only_first, c = only_second
/// where q is the maximum-likelihood estimate of P(only second right) given the difference d.
/// Ref: Tango, Statistics in Medicine 1998, 17:891-908.
/// @throws Error(kInternal) on negative counts, no pair at all, or a confidence outside (0, 1)
Interval tango_interval(const PairedCounts& counts, double confidence = 0.95);

}  // namespace surprisal
