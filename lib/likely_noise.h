#pragma once

#include <cstdint>
#include <vector>

#include "lib/draws.h"

namespace surprisal {

/// A token and the random word its noise is made of.
struct TokenWord {
  uint32_t token, word;
};

/// The tokens below `tokens` whose Gumbel noise under this draw is `least` or more (and maybe some
/// with a hair less), in no particular order: the only ones that can lift a token that lies `least`
/// below the best so far. Every token's word is computed, by vectors of blocks, but no logarithm.
std::vector<TokenWord> likely_noise(const Draws& draws, uint32_t draw, uint32_t tokens,
                                    double least);

}  // namespace surprisal
