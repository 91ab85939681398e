#pragma once

#include "samplers/sampler.h"

namespace surprisal {

/// The most likely token; the lowest id among equals (as argmax of torch, JAX and llama.cpp).
class Greedy : public Sampler {
 public:
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override;

  static SamplerEntry entry();
};

/// Whether a token is in the vocabulary and not banned.
bool can_emit(const StepView& view, TokenId token);

/// To emit a token with certainty; it must be one that can_emit().
Decision forced_decision(const StepView& view, TokenId token, ActionKind kind);

/// To emit the most likely token: what every sampler's argmax action does.
Decision argmax_decision(const StepView& view);

}  // namespace surprisal
