#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tokens with p >= (sum p^k)^(1/(k-1)), k = `order`: for k = 2 the probability that two draws
/// agree. The threshold never exceeds p_max, and equals it for equal probabilities; llama subtracts
/// 1e-5 from it, so that rounding cannot remove them, the others use a relative 1e-9 for the same.
/// Default order 2. Source: Tan et al., arXiv 2509.23234; llama.cpp PR 26035; vLLM PR 48136.
StepEntry p_less_step();

}  // namespace surprisal
