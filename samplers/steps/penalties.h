#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Penalties on tokens that stand in the context already, n times each:
///   repetition  l / r where l > 0, else l r, once a token
///   frequency   l - n f
///   presence    l - q where n > 0
///   penalties   all three, in that order, as llama.cpp has them in one sampler
/// Where they are looked for: llama the last `last_n` tokens, prompt included (64); hf and vllm the
/// whole context for repetition and the answer for the other two (vLLM's rule; transformers has
/// neither). `last_n` narrows that to the last so many; 0 or less is off in dialect llama's words.
/// Defaults: r = 1, f = q = 0: off.
/// Source: Keskar et al., arXiv 1909.05858; llama.cpp llama_sampler_penalties_apply; transformers
/// RepetitionPenaltyLogitsProcessor; vLLM apply_penalties.
StepEntry frequency_step();
StepEntry penalties_step();
StepEntry presence_step();
StepEntry repetition_step();

}  // namespace surprisal
