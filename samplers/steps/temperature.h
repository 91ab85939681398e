#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// l / T. hf: T > 0, or an error. llama: T <= 0 leaves the most likely token alone (the lowest id
/// among equals). vllm: T < 1e-5 does the same, and T < 0 is an error.
/// Source: transformers TemperatureLogitsWarper; llama.cpp llama_sampler_temp_impl; vLLM
/// sampler.py@3e342658.
StepEntry temperature_step();

}  // namespace surprisal
