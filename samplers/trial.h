#pragma once

#include "lib/json.h"
#include "samplers/sampler.h"

namespace surprisal {

/// Runs a sampler on rows of logits that stand in JSON, without a model: what try_sampler does with
/// a line. Keys of a request:
///
///   sampler           {"type": ..., parameters}
///   logits | probs    the row; null, "-inf" or "-Infinity" for a banned token (ln 0 for probs)
///   history           the context's token ids, []; prompt_length: how many of them are the prompt
///   attention_scores  [H, S] raw scores of the last layer's newest query
///   valid_slots       how many of the S are real; the S are then the whole padded cache. Without
///   it
///                     all S are, and a sampler that pads does so to its own number of slots.
///   prompt_logits     rows at the positions of the prompt, for samplers that look at them
///   seed              0
///   steps             instead of the row's keys: a list of such rows, between which the sampler's
///                     state is carried; a step without `history` goes on from the step before
///
/// @return {"kept_ids", "kept_logits", "probs" [V], "decision", "state", "metrics",
///          "decision_metrics"}; with steps {"steps": [...]}
/// @throws Error(kConfig, kUnknownName, kNumeric)
Json run_trial(const Json& request, const SamplerRegistry& registry, const SamplerContext& context);

/// Python's json module writes bare NaN, Infinity and -Infinity, which JSON does not know: outside
/// of strings they become the strings "NaN", "Infinity" and "-Infinity".
std::string quote_non_finite(std::string_view line);

}  // namespace surprisal
