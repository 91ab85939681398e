#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Adaptive-p: steers the probability of what is chosen towards `target`. With E the exponential
/// moving average of the chosen tokens' probabilities before this step (it starts at `ema`, by
/// default the target), every logit is replaced:
///   l = 5 - 10 d^2 / (1 + d),  d = |p - clamp(2 target - E, 0, 1)| / 0.3.
/// A negative target is off, the default (-1); decay 0.9. A chain's last step.
/// Source: llama.cpp PR 17927, llama_sampler_adaptive_p_apply.
StepEntry adaptive_p_step();

}  // namespace surprisal
