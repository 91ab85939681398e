#pragma once

#include <pybind11/pybind11.h>

#include "samplers/sampler.h"

namespace surprisal {

/// What Python sees of a step: logits float32 [V], statistics, attention (or None), tokens,
/// prompt_length, remaining_tokens, may_inject, may_branch, uniform(index), gumbel(). All copied,
/// so a script may keep it.
pybind11::object python_view(const StepView& view, const Draws& draws);

/// What a script answered: a token, or a dictionary with one of emit, inject, branch, rewind, ask,
/// retrieve and stop.
/// @throws Error(kConfig) saying what is wrong with it, without a place
Decision decision_of(const pybind11::object& answer, const StepView& view,
                     const Tokenizer* tokenizer);

}  // namespace surprisal
