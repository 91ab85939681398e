#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Temperatures that follow the entropy H (nats) of the candidates, n of them, so that filters
/// before them count. Where T comes out as 0, only the most likely token stays.
///
/// dynatemp: T = T_min + (T_max - T_min) (H / ln n)^exponent, with T_min = max(0, temp - range) and
/// T_max = temp + range; range 0 is a plain temperature, and a single candidate is left alone.
/// Defaults temp 0.8, range 0, exponent 1.
/// Source: llama.cpp llama_sampler_temp_ext_apply.
///
/// edt: T = T0 N^(theta / H). Defaults T0 1 and N 0.8; the authors publish no theta, 0.1 here.
/// Source: Zhang et al., arXiv 2403.14541 (its entropy taken in nats).
StepEntry dynatemp_step();
StepEntry edt_step();

}  // namespace surprisal
