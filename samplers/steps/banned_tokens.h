#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Bans single tokens: l = -inf. `tokens`: ids, or texts that are one token. Default: none.
/// Source: transformers SuppressTokensLogitsProcessor, NoBadWordsLogitsProcessor for single tokens.
StepEntry banned_tokens_step();

}  // namespace surprisal
