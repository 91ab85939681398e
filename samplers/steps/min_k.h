#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Min-k: with the logits sorted downwards, l_1 >= l_2 >= ..., and their range R = l_1 - l_V, keeps
/// max(argmax_i (l_i - l_i+1) / (i R), floor(tau / R)) tokens, at least one: the cliff with the
/// greatest fall for its rank. A temperature before it changes only the second term. Banned tokens
/// do not enter. Default tau 3.
/// Source: Ding et al., arXiv 2604.11012 algorithm 1; vLLM PR 48142.
StepEntry min_k_step();

}  // namespace surprisal
