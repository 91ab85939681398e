#include "samplers/entropix/dirichlet_draw.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "samplers/chain_step.h"

namespace surprisal {

double gamma_draw(double alpha, TokenId token, const Draws& draws) {
  constexpr uint32_t kNumbersOfToken = 64;
  uint32_t index = static_cast<uint32_t>(token) * kNumbersOfToken;
  const uint32_t end = index + kNumbersOfToken - 3;
  const auto uniform = [&] { return draws.uniform(kDirichletDraw, index++); };
  const double boost = alpha < 1 ? std::pow(uniform(), 1 / alpha) : 1;
  const double d = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double u1 = uniform(), u2 = uniform();
    const double normal = std::sqrt(-2 * std::log(u1)) * std::cos(2 * std::numbers::pi * u2);
    const double v = std::pow(1 + c * normal, 3);
    // 20 rejections in a row have a probability below 1e-26.
    if (v > 0 &&
        (std::log(uniform()) < normal * normal / 2 + d - d * v + d * std::log(v) || index > end))
      return d * v * boost;
    if (index > end) return d * boost;
  }
}

std::vector<float> dirichlet_draw(std::span<const float> alpha, const Draws& draws) {
  std::vector<double> gammas(alpha.size());
  double total = 0;
  for (size_t i = 0; i < alpha.size(); ++i)
    total += gammas[i] = gamma_draw(alpha[i], static_cast<TokenId>(i), draws);
  std::vector<float> result(alpha.size());
  for (size_t i = 0; i < alpha.size(); ++i) result[i] = static_cast<float>(gammas[i] / total);
  return result;
}

TokenId categorical_draw(std::span<const Candidate> candidates, const Draws& draws) {
  double best_score = -std::numeric_limits<double>::infinity();
  TokenId best = candidates.front().token;
  for (const Candidate& c : candidates) {
    const double score = std::log(static_cast<double>(c.probability)) +
                         draws.gumbel(kTokenDraw, static_cast<uint32_t>(c.token));
    if (score > best_score) {
      best_score = score;
      best = c.token;
    }
  }
  return best;
}

}  // namespace surprisal
