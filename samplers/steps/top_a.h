#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tokens with p >= a p_max^2. Default a = 0: off.
/// Source: text-generation-webui modules/sampler_hijack.py@1dcde41d TopALogitsWarper.
StepEntry top_a_step();

}  // namespace surprisal
