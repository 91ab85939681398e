#pragma once

#include <memory>

#include "samplers/sampler.h"

namespace surprisal {

/// Entropix's fourth form, of its server: named states that ask for an attention entropy below 1
/// bit, which a padded cache never has, and in between a temperature that is highest where the
/// model is most certain. Asks at every high/low token. Reference: xjdr-alt/entropix@9d41be6
/// entropix/sampler.py. What its server does to the prompt (logits read at the first padding slot,
/// padding attended to) is no matter of a sampler and is not reproduced.
std::unique_ptr<Sampler> make_entropix_v4_server(ParamReader& params,
                                                 const SamplerContext& context);

}  // namespace surprisal
