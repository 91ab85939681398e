#pragma once

#include <memory>

#include "samplers/entropix/defects.h"
#include "samplers/sampler.h"

namespace surprisal {

/// The adaptive Dirichlet sampler ("ADS", Entropix's fifth form): no attention; moving averages say
/// which tokens are outliers, for which a fitted Dirichlet distribution perturbs the choice. State,
/// order of updates, iterations, thresholds and NaN are as published; gamma and categorical draws
/// are our own, equal in distribution, from a fixed key until `fixed_key` is fixed. The averages
/// start from the logits at all positions of the prompt (observe_prompt; where nobody supplies
/// them, at its last), at ads_e982dd5 from constants. ads_head: four states (nats) around it;
/// high/low emits the clarifying token, high/high bans the chosen one and draws again, and
/// elsewhere the averages never move (ads_stale_state). Reference: xjdr-alt/entropix@e982dd5,
/// @f0b8ea6, @0a7f7bb entropix/dslider*.py, sampler.py, run on float32 logits.
/// @param variant  one of the ADS ones
std::unique_ptr<Sampler> make_entropix_ads(ParamReader& params, const SamplerContext& context,
                                           EntropixVariant variant);

}  // namespace surprisal
