#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Exclude top choices: with `probability`, drops every token with p >= threshold but the least
/// likely of them. A threshold above 0.5 can never be met twice and is off. llama fires where the
/// position's uniform draw u <= probability, the others where u < probability; these (the rule's
/// first home) also do nothing where a line break or the end-of-text token would go, if there is a
/// tokenizer to tell. Defaults: probability 0 (off), threshold 0.1.
/// Source: text-generation-webui PR 6335; llama.cpp llama_sample_xtc_apply.
StepEntry xtc_step();

}  // namespace surprisal
