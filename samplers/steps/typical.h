#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Locally typical: tokens in ascending order of |-ln p - H| (H in nats), until their mass exceeds
/// p (llama) or reaches it (hf, which also keeps all that tie with the last one). May drop the most
/// likely token. p >= 1 is off, the default. Of equals the lower id comes first in llama.
/// Source: Meister et al., arXiv 2202.00666; transformers TypicalLogitsWarper; llama.cpp
/// llama_sampler_typical_apply.
StepEntry typical_step();

}  // namespace surprisal
