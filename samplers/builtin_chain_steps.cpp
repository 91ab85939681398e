#include <algorithm>

#include "samplers/chain_step.h"
#include "samplers/steps/adaptive_p.h"
#include "samplers/steps/banned_tokens.h"
#include "samplers/steps/dry.h"
#include "samplers/steps/dynamic_temperature.h"
#include "samplers/steps/ees.h"
#include "samplers/steps/epsilon_eta.h"
#include "samplers/steps/logit_bias.h"
#include "samplers/steps/min_k.h"
#include "samplers/steps/min_p.h"
#include "samplers/steps/mirostat.h"
#include "samplers/steps/no_repeat_ngram.h"
#include "samplers/steps/p_less.h"
#include "samplers/steps/penalties.h"
#include "samplers/steps/quadratic.h"
#include "samplers/steps/tail_free.h"
#include "samplers/steps/temperature.h"
#include "samplers/steps/top_a.h"
#include "samplers/steps/top_h.h"
#include "samplers/steps/top_k.h"
#include "samplers/steps/top_n_sigma.h"
#include "samplers/steps/top_p.h"
#include "samplers/steps/typical.h"
#include "samplers/steps/xtc.h"

namespace surprisal {

StepRegistry builtin_chain_steps() {
  StepRegistry registry("chain step");
  registry.add("adaptive_p", adaptive_p_step());
  registry.add("banned_tokens", banned_tokens_step());
  registry.add("dry", dry_step());
  registry.add("dynatemp", dynatemp_step());
  registry.add("edt", edt_step());
  registry.add("ees", ees_step());
  registry.add("epsilon", epsilon_step());
  registry.add("eta", eta_step());
  registry.add("frequency", frequency_step());
  registry.add("logit_bias", logit_bias_step());
  registry.add("min_k", min_k_step());
  registry.add("min_p", min_p_step());
  registry.add("mirostat_v1", mirostat_v1_step());
  registry.add("mirostat_v2", mirostat_v2_step());
  registry.add("no_repeat_ngram", no_repeat_ngram_step());
  registry.add("p_less", p_less_step());
  registry.add("penalties", penalties_step());
  registry.add("presence", presence_step());
  registry.add("quadratic", quadratic_step());
  registry.add("repetition", repetition_step());
  registry.add("tail_free", tail_free_step());
  registry.add("temperature", temperature_step());
  registry.add("top_a", top_a_step());
  registry.add("top_h", top_h_step());
  registry.add("top_k", top_k_step());
  registry.add("top_n_sigma", top_n_sigma_step());
  registry.add("top_p", top_p_step());
  registry.add("typical", typical_step());
  registry.add("xtc", xtc_step());
  return registry;
}

size_t read_min_keep(ParamReader& params) {
  const int64_t min_keep = params.integer("min_keep", 1, {.min = 0, .max = 1e9}, "tokens",
                                          "kept whatever the rule says; at least one always is");
  return static_cast<size_t>(std::max<int64_t>(1, min_keep));
}

}  // namespace surprisal
