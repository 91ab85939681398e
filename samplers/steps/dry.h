#pragma once

#include "samplers/chain_step.h"

namespace surprisal {

/// Don't repeat yourself: where the context's last L tokens stood before, followed by token t, and
/// L >= allowed_length, then l_t -= multiplier base^(L - allowed_length), L the longest such.
/// Breakers end a match: L counts only tokens after the last one, and a token that is a breaker by
/// itself is never penalised. Looked for in the last `last_n` tokens (llama: 64; others: all).
/// `breakers`: texts, or lists of token ids. Of a text, llama takes every token that contains it,
/// the others the last token of its encoding. Without a tokenizer the default texts are left out.
/// L is clamped: in llama so that the penalty stays a float32, in the others at 50.
/// Defaults: multiplier 0 (off), base 1.75, allowed_length 2, breakers line break : " *
/// Source: text-generation-webui PR 5677; llama.cpp llama_sampler_dry_apply.
StepEntry dry_step();

}  // namespace surprisal
