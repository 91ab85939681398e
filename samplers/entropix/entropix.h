#pragma once

#include "samplers/sampler.h"

namespace surprisal {

/// `type: entropix, variant: NAME`: the published versions of Entropix, each with its own bugs.
SamplerEntry entropix_entry();

}  // namespace surprisal
