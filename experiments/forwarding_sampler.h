#pragma once

#include <memory>
#include <optional>
#include <string>

#include "samplers/sampler.h"

namespace surprisal {

/// Does in everything what another sampler does: the base of those that change one thing.
class ForwardingSampler : public Sampler {
 public:
  /// @param sampler  borrowed
  explicit ForwardingSampler(const Sampler& sampler) : sampler_(sampler) {}

  Needs needs() const override { return sampler_.needs(); }
  std::unique_ptr<SamplerState> start() const override { return sampler_.start(); }
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    return sampler_.decide(view, state, draws);
  }
  void observe(TokenId token, TokenSource source, SamplerState* state) const override {
    sampler_.observe(token, source, state);
  }
  void carry_ledger(const SamplerState* latest, SamplerState* restored) const override {
    sampler_.carry_ledger(latest, restored);
  }
  Base base(const SamplerState* state) const override { return sampler_.base(state); }
  std::optional<std::string> refuses_repeats() const override { return sampler_.refuses_repeats(); }
  std::string label() const override { return sampler_.label(); }

 private:
  const Sampler& sampler_;
};

}  // namespace surprisal
