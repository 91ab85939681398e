#pragma once

#include <memory>

#include "samplers/sampler.h"

namespace surprisal {

/// The first, static Entropix: entropy and varentropy in bits choose a temperature, no attention.
/// Reference: xjdr-alt/entropix@b030904 entropix/main.py sample; that commit calls it wrongly and
/// stops, a5e83a4 repairs the call. Its torch file, which draws otherwise, is not among the
/// variants.
std::unique_ptr<Sampler> make_entropix_v1(ParamReader& params, const SamplerContext& context);

}  // namespace surprisal
