#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tokenizer.h"
#include "models/config.h"

namespace surprisal {

/// The rules by which text ends an answer, as lm-evaluation-harness has them for its `hf` backend
/// (lm_eval/models/utils.py: handle_stop_sequences, postprocess_generated_text). Offsets are bytes.

/// The task's stop strings with the text of the end-of-text token appended, unless it is there
/// already or empty.
std::vector<std::string> with_end_of_text(std::vector<std::string> stops,
                                          std::string_view end_of_text);

/// Tokens that end an answer: those of the model's configuration and the tokenizer's own, sorted.
std::vector<TokenId> stop_tokens(const ModelConfig& model, const Tokenizer& tokenizer);

/// How much of `text` survives: it is cut at the first occurrence of the first stop string, what
/// is left at the first occurrence of the second, and so on in order (which differs from the
/// earliest match of all where two matches overlap). `text.size()` when nothing matches; empty stop
/// strings match nothing.
size_t stop_cut(std::string_view text, std::span<const std::string> stops);

}  // namespace surprisal
