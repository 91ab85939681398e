#pragma once

#include <string>
#include <vector>

#include "samplers/dialect.h"

namespace surprisal {

/// An engine's own chain.
struct ChainPreset {
  Dialect dialect;
  /// Every rule the engine has, in the order in which it applies them.
  std::vector<std::string> order;
  /// What it does when nothing is asked for, as YAML.
  std::string default_steps;
};

/// llama: penalties and filters first, the temperature last, and top_k 40, top_p 0.95, min_p 0.05,
/// temperature 0.8 by default (common/common.h, common/sampling.cpp@00efb3e1). hf: the temperature
/// first, top_k 50 by default (generation/utils.py _get_logits_processor). vllm: the temperature
/// before min_p, that before top_k and top_p; the plain softmax by default (sampler.py@3e342658).
const ChainPreset& chain_preset(Dialect dialect);

}  // namespace surprisal
