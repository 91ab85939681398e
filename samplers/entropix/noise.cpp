#include "samplers/entropix/noise.h"

#include <cmath>

#include "samplers/chain_step.h"

namespace surprisal {
namespace {

constexpr JaxKey kFixedKey = jax_key(1337);

/// Uniform on [0, 1) with 24 bits, as torch.rand makes float32.
double torch_uniform(std::mt19937& engine) {
  constexpr uint32_t kBits24 = (1U << 24) - 1;
  return static_cast<double>(engine() & kBits24) * 0x1p-24;
}

}  // namespace

std::vector<float> RaceNoise::race(std::optional<size_t> draw, size_t draws_of_token,
                                   const std::vector<TokenId>& tokens) const {
  std::vector<float> q;
  if (generator == nullptr && draws == nullptr)
    return jax_exponential(draw ? jax_split(kFixedKey, draws_of_token)[*draw] : kFixedKey,
                           tokens.size());
  const size_t number = draw.value_or(0);
  const uint32_t purpose =
      number == 0 ? uint32_t{kTokenDraw} : kRaceDraw + static_cast<uint32_t>(number);
  for (const TokenId token : tokens) {
    const double u = draws != nullptr ? draws->uniform(purpose, static_cast<uint32_t>(token))
                                      : torch_uniform(generator->engine);
    // The q of a position's own draws is e^-G with G its Gumbel noise, so that argmax p / q is the
    // token that a chain would draw from the same p.
    q.push_back(static_cast<float>(uniform ? u : -std::log1p(-u)));
  }
  return q;
}

}  // namespace surprisal
