#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tokens with l >= l_max - n sigma, sigma the standard deviation of the candidates' logits: of the
/// population in dialect llama, with N - 1 in the others (the authors' torch.std). Banned tokens do
/// not enter it. (A -inf makes the authors' sigma NaN, which turns their rule off.) n <= 0 is off.
/// Default n = 1, the paper's.
/// Source: Tang et al., arXiv 2411.07641, hf_nsigma.py; llama.cpp llama_sampler_top_n_sigma_apply.
StepEntry top_n_sigma_step();

}  // namespace surprisal
