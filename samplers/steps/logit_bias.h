#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Adds to the logits of single tokens. `bias`: {token id: nats}, or {text: nats} for a text that
/// is one token. Default: none. Source: llama.cpp llama_sampler_logit_bias_apply; OpenAI's and
/// vLLM's logit_bias.
StepEntry logit_bias_step();

}  // namespace surprisal
