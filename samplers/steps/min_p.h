#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tokens with at least p times the probability of the most likely: l >= l_max + ln p. Needs no
/// sort and no normaliser. p = 0 is off; llama accepts p > 1, which keeps the most likely alone.
/// Source: Nguyen et al., arXiv 2407.01082; transformers MinPLogitsWarper; llama.cpp
/// llama_sampler_min_p_apply.
StepEntry min_p_step();

}  // namespace surprisal
