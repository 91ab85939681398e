#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// The k most likely. llama keeps exactly k (here the lower ids of a tie), hf and vllm all that
/// equal the k-th. k <= 0 is off.
/// Source: transformers TopKLogitsWarper; llama.cpp llama_sampler_top_k_impl. Fan et al. 2018.
StepEntry top_k_step();

}  // namespace surprisal
