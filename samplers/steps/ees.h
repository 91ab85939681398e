#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Entropy-equilibrium sampling: with the k most likely tokens of mass P_k and H_k the entropy
/// (nats) of their renormalised distribution, the first k > min_keep with H_k / ln k < P_k ends it,
/// and k - 1 are kept; all, where there is none. No parameter to tune. Source: arXiv 2512.00789;
/// shuanncai/EES generate/utils.py@330b5bdf (which as committed does not run: two of its names are
/// defined in comments only).
StepEntry ees_step();

}  // namespace surprisal
