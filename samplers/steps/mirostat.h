#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Mirostat: steers the surprisal (bits) of what is chosen towards tau. Its state is mu, at first
/// 2 tau; after each token mu -= eta (surprisal - tau).
///
/// mirostat_v1: estimates the exponent s of a Zipf law from the m most likely tokens,
///   s = sum t_i b_i / sum t_i^2,  t_i = ln((i+1)/i),  b_i = ln(p_i/p_i+1),  e = s - 1,
/// and keeps the k = (e 2^mu / (1 - V^-e))^(1/s) most likely. llama: floor(k), at least 1, and the
/// surprisal among those kept. hf (the authors'): round(k) + 1, and the surprisal before
/// truncation.
///
/// mirostat_v2: drops tokens with -log2 p > mu (never all); the surprisal is that among those kept.
///
/// Defaults tau 5 bits, eta 0.1, m 100. A chain's last step. `mu` starts it elsewhere.
/// Source: Basu et al., arXiv 2007.14966; basusourya/mirostat; llama.cpp llama_sampler_mirostat*.
StepEntry mirostat_v1_step();
StepEntry mirostat_v2_step();

}  // namespace surprisal
