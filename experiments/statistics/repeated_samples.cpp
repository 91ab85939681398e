#include "experiments/statistics/repeated_samples.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

/// C(n, 0), ..., C(n, k).
std::vector<long double> binomial_row(int64_t n, int64_t k) {
  std::vector<long double> row(static_cast<size_t>(k) + 1, 0.0L);
  row[0] = 1;
  for (int64_t j = 1; j <= std::min(n, k); ++j)
    row[static_cast<size_t>(j)] = row[static_cast<size_t>(j - 1)] *
                                  static_cast<long double>(n - j + 1) / static_cast<long double>(j);
  return row;
}

/// Ways to pick answers for the k places: [tied][places], where `tied` parties have exactly as many
/// votes as the right answer and none has more.
using Ways = std::vector<std::vector<long double>>;

/// Lets one more party of `count` answers take between 0 and `votes` of the places.
Ways with_party(const Ways& ways, int64_t count, size_t votes, size_t places) {
  const std::vector<long double> choose = binomial_row(count, static_cast<int64_t>(votes));
  Ways next(ways.size(), std::vector<long double>(places + 1, 0.0L));
  for (size_t tied = 0; tied < ways.size(); ++tied) {
    for (size_t used = 0; used <= places; ++used) {
      if (ways[tied][used] == 0) continue;
      for (size_t taken = 0; taken <= votes && used + taken <= places; ++taken) {
        if (choose[taken] == 0) break;
        next[tied + (taken == votes)][used + taken] += ways[tied][used] * choose[taken];
      }
    }
  }
  return next;
}

}  // namespace

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  if (c < 0 || c > n || k < 1 || k > n)
    throw Error(ErrorCode::kInternal, "pass_at_k: needs 0 <= c <= n and 1 <= k <= n");
  if (n - c < k) return 1;
  double all_wrong = 1;
  for (int64_t i = n - c + 1; i <= n; ++i)
    all_wrong *= 1 - static_cast<double>(k) / static_cast<double>(i);
  return 1 - all_wrong;
}

double majority_at_k(const VoteCounts& votes, int64_t k) {
  int64_t n = votes.right + votes.abstaining;
  bool possible = votes.right >= 0 && votes.abstaining >= 0;
  for (const int64_t count : votes.wrong) {
    n += count;
    possible = possible && count >= 0;
  }
  if (!possible || k < 1 || k > n)
    throw Error(ErrorCode::kInternal, "majority_at_k: needs counts >= 0 and 1 <= k <= answers");

  const std::vector<long double> choose_right = binomial_row(votes.right, k);
  const std::vector<long double> choose_abstaining = binomial_row(votes.abstaining, k);
  long double won = 0;
  for (int64_t v = 1; v <= std::min(k, votes.right); ++v) {
    const auto places = static_cast<size_t>(k - v);
    const size_t most_ties = places / static_cast<size_t>(v);
    Ways ways(most_ties + 1, std::vector<long double>(places + 1, 0.0L));
    ways[0][0] = 1;
    for (const int64_t count : votes.wrong)
      ways = with_party(ways, count, static_cast<size_t>(v), places);
    for (size_t tied = 0; tied <= most_ties; ++tied)
      for (size_t used = 0; used <= places; ++used)
        won += choose_right[static_cast<size_t>(v)] * ways[tied][used] *
               choose_abstaining[places - used] / static_cast<long double>(tied + 1);
  }
  const long double subsets = binomial_row(n, k)[static_cast<size_t>(k)];
  if (!std::isfinite(subsets) || !std::isfinite(won))
    throw Error(ErrorCode::kNumeric, "majority_at_k: too many subsets to count");
  return static_cast<double>(won / subsets);
}

}  // namespace surprisal
