#pragma once

#include <memory>
#include <optional>

#include "samplers/sampler.h"

namespace surprisal {

/// Stands in for a cell's sampler so that its failure stops its own cell and not the run: what it
/// throws is kept, and the answer is ended. One thread.
class CellGuard : public Sampler {
 public:
  explicit CellGuard(const Sampler& sampler) : sampler_(sampler) {}

  const std::optional<Error>& failure() const { return failure_; }

  Needs needs() const override { return sampler_.needs(); }
  std::unique_ptr<SamplerState> start() const override { return sampler_.start(); }
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    try {
      if (!failure_) return sampler_.decide(view, state, draws);
    } catch (const Error& error) {
      failure_ = error;
    }
    Decision decision;
    decision.action = Stop{"this cell has failed"};
    decision.kind = ActionKind::kStop;
    return decision;
  }
  void observe(TokenId token, TokenSource source, SamplerState* state) const override {
    sampler_.observe(token, source, state);
  }
  void carry_ledger(const SamplerState* latest, SamplerState* restored) const override {
    sampler_.carry_ledger(latest, restored);
  }
  std::optional<std::string> refuses_repeats() const override { return sampler_.refuses_repeats(); }
  std::string label() const override { return sampler_.label(); }

 private:
  const Sampler& sampler_;
  mutable std::optional<Error> failure_;
};

}  // namespace surprisal
