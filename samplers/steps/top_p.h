#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Nucleus: the shortest prefix of tokens, most likely first, with a mass of at least p. llama adds
/// from the top until the sum reaches p; hf and vllm remove from the bottom while the sum is at
/// most 1 - p: the same set but for rounding. Of tokens that tie at the end the lower ids are kept
/// (both engines leave it to their sort). p >= 1 is off; one token at least is kept. Source:
/// Holtzman et al., arXiv 1904.09751; transformers TopPLogitsWarper; llama.cpp
/// llama_sampler_top_p_apply.
StepEntry top_p_step();

}  // namespace surprisal
