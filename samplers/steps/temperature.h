#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// l / T. hf: T > 0, or an error. llama: T <= 0 leaves the most likely token alone (the lowest id
/// among equals).
/// Source: transformers TemperatureLogitsWarper; llama.cpp llama_sampler_temp_impl.
StepEntry temperature_step();

}  // namespace surprisal
