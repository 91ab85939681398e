#pragma once

#include "lib/draws.h"
#include "samplers/candidates.h"
#include "samplers/decision.h"

namespace surprisal {

/// Chooses the candidate with the largest logit + Gumbel noise, the lower id among equals: a draw
/// from the candidates' softmax that depends on neither their order nor their number. Noise belongs
/// to the token id, so two settings that see the same distribution make the same choice.
/// Candidates that no noise could lift above the best so far are passed over unseen.
Candidates::Ranked gumbel_max(const Candidates& candidates, const Draws& draws, uint32_t draw);

/// The decision to emit a token drawn from the candidates.
/// @param want_distribution  fill Decision::distribution, in the order of token ids
Decision sample(const Candidates& candidates, const Draws& draws, bool want_distribution);

}  // namespace surprisal
