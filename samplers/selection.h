#pragma once

#include <cstdint>

#include "lib/draws.h"
#include "samplers/candidates.h"
#include "samplers/decision.h"

namespace surprisal {

/// Chooses the candidate with the largest logit + Gumbel noise, the lower id among equals: a draw
/// from the candidates' softmax that depends on neither their order nor their number. Noise belongs
/// to the token id, so two settings that see the same distribution make the same choice.
/// Candidates that no noise could lift above the best so far are passed over unseen.
Candidates::Ranked gumbel_max(const Candidates& candidates, const Draws& draws, uint32_t draw);

/// Chooses the first candidate, in the order of token ids, at which the candidates' cumulated
/// probability reaches one uniform number of 64 bits. Also a draw from the softmax, but two
/// settings share a choice only as far as their sums do: common random numbers are Gumbel's.
Candidates::Ranked inverse_cdf(const Candidates& candidates, const Draws& draws, uint32_t draw);

/// How a chain draws from what its rules left.
enum class DrawMethod : uint8_t { kGumbel, kInverseCdf };

/// The decision to emit a token drawn from the candidates.
/// @param want_distribution  fill Decision::distribution, in the order of token ids
Decision sample(const Candidates& candidates, const Draws& draws, bool want_distribution,
                DrawMethod method = DrawMethod::kGumbel);

}  // namespace surprisal
