#pragma once

#include <cstdint>
#include <span>

namespace surprisal {

/// An exact test and what it could have shown at best.
struct SignFlipTest {
  double p_value = 1;
  double smallest_p = 1;    ///< of any signs that these magnitudes could have had
  int64_t informative = 0;  ///< clusters whose difference is not zero
};

/// The sign-flip permutation test of paired differences: were the two methods exchangeable within
/// every cluster, each difference would be as likely to have the other sign.
///   p = P(|Σ ±d_i| >= |Σ d_i|), the signs independent and fair
/// Computed exactly, not by drawing permutations: a difference of whole numbers has a distribution
/// that follows by convolution. With one answer a question it is the exact McNemar test.
/// @param differences  one a cluster: right answers of the first method minus the second's, over
///                     all repeats (which must be equal, so that questions weigh the same)
/// Cost: differences × their sum of magnitudes.
/// Ref: Fisher, The Design of Experiments 1935, §21; Pagano & Tritchler, JASA 1983 (convolution).
SignFlipTest sign_flip_test(std::span<const int64_t> differences);

}  // namespace surprisal
