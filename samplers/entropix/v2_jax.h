#pragma once

#include <memory>

#include "samplers/sampler.h"

namespace surprisal {

/// Entropix's adaptive sampler in JAX, bugs included (reference: xjdr-alt/entropix@e55e9a3,
/// entropix/sampler.py, main.py): what the project's blog post describes. Four states on entropy
/// and varentropy in bits, attention metrics over a cache padded to `cache_slots`, a random key
/// that is the same at every token, and "most likely of five draws" in between.
std::unique_ptr<Sampler> make_entropix_v2_jax(ParamReader& params, const SamplerContext& context);

}  // namespace surprisal
