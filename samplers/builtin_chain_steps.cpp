#include <algorithm>

#include "samplers/chain_step.h"
#include "samplers/steps/min_p.h"
#include "samplers/steps/temperature.h"
#include "samplers/steps/top_k.h"
#include "samplers/steps/top_p.h"

namespace surprisal {

StepRegistry builtin_chain_steps() {
  StepRegistry registry("chain step");
  registry.add("min_p", min_p_step());
  registry.add("temperature", temperature_step());
  registry.add("top_k", top_k_step());
  registry.add("top_p", top_p_step());
  return registry;
}

size_t read_min_keep(ParamReader& params) {
  const int64_t min_keep = params.integer("min_keep", 1, {.min = 0, .max = 1e9}, "tokens",
                                          "kept whatever the rule says; at least one always is");
  return static_cast<size_t>(std::max<int64_t>(1, min_keep));
}

}  // namespace surprisal
