#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Bans every token that would make a sequence of n tokens (prompt included) occur again. n = 0 is
/// off, the default. Source: transformers NoRepeatNGramLogitsProcessor.
StepEntry no_repeat_ngram_step();

}  // namespace surprisal
