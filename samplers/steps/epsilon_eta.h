#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Tokens with p >= epsilon (epsilon sampling), or with p >= min(epsilon, sqrt(epsilon) e^-H) (eta
/// sampling; H in nats). The `min_keep` most likely stay whatever their probability, and whatever
/// ties with the last of them.
/// Defaults: 3e-4, the smallest value of the paper's range (3e-4 to 9e-4; eta: to 4e-3).
/// Source: Hewitt et al., arXiv 2210.15191; transformers EpsilonLogitsWarper, EtaLogitsWarper
/// (whose docstring says sqrt(epsilon e^-H); its code is followed).
StepEntry epsilon_step();
StepEntry eta_step();

}  // namespace surprisal
