#include "experiments/statistics/sign_flip.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "lib/error.h"

namespace surprisal {

SignFlipTest sign_flip_test(std::span<const int64_t> differences) {
  constexpr int64_t kMaxTotal = int64_t{1} << 28;  // 2 GiB of probabilities

  std::vector<int64_t> magnitudes;
  int64_t divisor = 0, sum = 0;
  for (const int64_t difference : differences) {
    sum += difference;
    divisor = std::gcd(divisor, difference);
    if (difference != 0) magnitudes.push_back(std::abs(difference));
  }
  SignFlipTest test;
  test.informative = static_cast<int64_t>(magnitudes.size());
  if (magnitudes.empty()) return test;
  test.smallest_p = std::exp2(1.0 - static_cast<double>(magnitudes.size()));

  int64_t total = 0;
  for (int64_t& magnitude : magnitudes) total += magnitude /= divisor;
  if (total > kMaxTotal)
    throw Error(ErrorCode::kUnsupported, "sign_flip_test: too many answers for the exact test");
  const int64_t observed = std::abs(sum) / divisor;

  // probability[k]: of the positive signs' magnitudes adding up to k; the signed sum is 2k - total.
  std::vector<double> probability(static_cast<size_t>(total) + 1, 0.0);
  probability[0] = 1;
  std::sort(magnitudes.begin(), magnitudes.end());  // the reach grows slowest
  size_t reach = 0;
  for (const int64_t magnitude : magnitudes) {
    const auto step = static_cast<size_t>(magnitude);
    reach += step;
    for (size_t k = reach; k >= step; --k)
      probability[k] = 0.5 * (probability[k] + probability[k - step]);
    for (size_t k = 0; k < step; ++k) probability[k] *= 0.5;
  }
  double tail = 0;  // summed from the small end
  for (int64_t k = 0; k <= (total - observed) / 2; ++k) tail += probability[static_cast<size_t>(k)];
  // Both tails are alike; where they meet (an observed sum of zero) they cover everything.
  test.p_value = observed == 0 ? 1 : std::min(1.0, 2 * tail);
  return test;
}

}  // namespace surprisal
