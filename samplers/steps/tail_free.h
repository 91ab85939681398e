#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tail-free sampling: with p sorted downwards, c the running sum of |second difference of p|
/// normalised to 1, keeps the first token and each whose predecessor's c is at most z; the last one
/// always goes. Banned tokens count as p = 0. z >= 1 is off, the default.
/// Source: P. Bilenko, "Tail Free Sampling"; text-generation-webui sampler_hijack.py@1dcde41d
/// TailFreeLogitsWarper (llama.cpp had its own, which is gone).
StepEntry tail_free_step();

}  // namespace surprisal
