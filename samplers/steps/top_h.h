#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Top-H: of the `top_n` most likely, p renormalised over them with entropy H, the longest prefix
/// with sum -p ln p <= alpha H: the sum over the prefix as it stands, as the authors' code and
/// transformers have it. With `normalized`, the entropy of the renormalised prefix instead, as the
/// paper's text has it. The most likely token always stays. Default alpha 0.4 (the authors').
/// Source: Potraghloo et al., arXiv 2509.02510; transformers TopHLogitsWarper (PR 40837).
StepEntry top_h_step();

}  // namespace surprisal
