#pragma once

#include <cstdint>
#include <span>

namespace surprisal {

/// Chance that at least one of k answers is right, the k drawn without replacement from n answers
/// of which c are right; unbiased for k independent answers.
///   1 - C(n - c, k) / C(n, k)
/// @throws Error(kInternal) unless 0 <= c <= n and 1 <= k <= n
/// Ref: Chen et al., arXiv:2107.03374, equation 1.
double pass_at_k(int64_t n, int64_t c, int64_t k);

/// Answers to one question, those that mean the same counted together.
struct VoteCounts {
  int64_t right = 0;  ///< answers the scorer accepts: one party, however they are spelt
  std::span<const int64_t> wrong;  ///< one count for each distinct wrong answer
  int64_t abstaining = 0;          ///< answers from which nothing could be extracted
};

/// Chance that the most frequent of k answers is right, averaged over all subsets of k of the
/// answers given (exactly, by counting subsets). Abstentions do not vote but take one of the k
/// places. A tie is broken by a fair draw: the right answer among t that tie counts 1/t. Where
/// nobody votes the answer is wrong.
/// @throws Error(kInternal) on negative counts or k outside [1, number of answers];
///         Error(kNumeric) when the number of subsets exceeds a long double
double majority_at_k(const VoteCounts& votes, int64_t k);

}  // namespace surprisal
