#include "samplers/presets.h"

#include <array>

namespace surprisal {

const ChainPreset& chain_preset(Dialect dialect) {
  static const std::array<ChainPreset, 3> kPresets = {{
      {Dialect::kHf,
       {"logit_bias", "repetition", "no_repeat_ngram", "banned_tokens", "temperature", "top_h",
        "top_k", "top_p", "min_p", "typical", "epsilon", "eta"},
       "[{temperature: 1.0}, {top_k: 50}]"},
      {Dialect::kLlama,
       {"logit_bias", "penalties", "repetition", "frequency", "presence", "dry", "top_n_sigma",
        "top_k", "typical", "top_p", "min_p", "xtc", "temperature", "dynatemp", "mirostat_v1",
        "mirostat_v2", "adaptive_p"},
       "[{top_k: 40}, {top_p: 0.95}, {min_p: 0.05}, {temperature: 0.8}]"},
      {Dialect::kVllm,
       {"banned_tokens", "logit_bias", "repetition", "frequency", "presence", "temperature",
        "min_p", "top_k", "top_p"},
       "[]"},
  }};
  return kPresets[static_cast<size_t>(dialect)];
}

}  // namespace surprisal
