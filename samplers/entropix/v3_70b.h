#pragma once

#include <memory>

#include "samplers/sampler.h"

namespace surprisal {

/// Entropix's third form, tuned by hand for a 70B model: each named state asks for six metrics, two
/// of which (attention entropy near 12 bits, agreement near 1e-6) only make sense for the almost
/// empty padded cache of 4096 slots.
/// Reference: xjdr-alt/entropix@cdb6f6f entropix/sampler.py.
std::unique_ptr<Sampler> make_entropix_v3_70b(ParamReader& params, const SamplerContext& context);

}  // namespace surprisal
