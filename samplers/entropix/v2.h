#pragma once

#include <memory>

#include "samplers/sampler.h"

namespace surprisal {

/// Entropix's adaptive sampler, what the project's blog post describes: four states on entropy and
/// varentropy in bits, attention metrics over a cache padded to `cache_slots`, and "most likely of
/// five draws" in between. Bugs included.
/// Reference: xjdr-alt/entropix@e55e9a3 entropix/sampler.py, main.py (v2_jax) and torch_sampler.py,
/// torch_main.py (v2_torch: other thresholds for the high states, one seeded generator whose
/// numbers are uniform where exponential ones are meant, no variance over heads).
std::unique_ptr<Sampler> make_entropix_v2_jax(ParamReader& params, const SamplerContext& context);
std::unique_ptr<Sampler> make_entropix_v2_torch(ParamReader& params, const SamplerContext& context);

}  // namespace surprisal
