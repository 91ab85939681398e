#pragma once

#include <span>
#include <vector>

#include "lib/draws.h"
#include "samplers/decision.h"

namespace surprisal {

/// The random numbers of the "adaptive Dirichlet sampler", from a position's own draws: equal to
/// the published ones in distribution, not in value.

/// Gamma(alpha, 1), the token's own number: Marsaglia and Tsang 2000 with normals by Box and
/// Muller; alpha < 1 by Gamma(alpha + 1) u^(1/alpha). @param alpha  > 0
double gamma_draw(double alpha, TokenId token, const Draws& draws);

/// A draw from Dir(alpha): independent gamma numbers over their sum. [V] -> [V]
std::vector<float> dirichlet_draw(std::span<const float> alpha, const Draws& draws);

/// A token with a chance proportional to its `probability`, by Gumbel-max. None may be 0
/// throughout.
TokenId categorical_draw(std::span<const Candidate> candidates, const Draws& draws);

}  // namespace surprisal
