#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Quadratic and cubic smoothing: with d = l - l_max, S = smoothing_factor and c = smoothing_curve,
///   l' = l_max - k S d^2 + s S d^3,  k = (3 - c) / 2,  s = (c - 1) / 2.
/// Banned tokens stay banned. S = 0 is off, the default; c = 1, the default, is the quadratic rule.
/// Source: text-generation-webui modules/sampler_hijack.py@1dcde41d.
StepEntry quadratic_step();

}  // namespace surprisal
