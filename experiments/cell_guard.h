#pragma once

#include <functional>
#include <optional>
#include <string>

#include "experiments/forwarding_sampler.h"

namespace surprisal {

/// Stands in for a cell's sampler so that its failure stops its own cell and not the run: what it
/// throws is kept, and the answer is ended. One thread.
class CellGuard : public ForwardingSampler {
 public:
  using ForwardingSampler::ForwardingSampler;

  const std::optional<Error>& failure() const { return failure_; }

  /// What `work` returns; nothing, and the cell has failed, where it throws an Error.
  std::string attempt(const std::function<std::string()>& work) const {
    try {
      return work();
    } catch (const Error& error) {
      failure_ = error;
      return {};
    }
  }

  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    try {
      if (!failure_) return ForwardingSampler::decide(view, state, draws);
    } catch (const Error& error) {
      failure_ = error;
    }
    Decision decision;
    decision.action = Stop{"this cell has failed"};
    decision.kind = ActionKind::kStop;
    return decision;
  }

 private:
  mutable std::optional<Error> failure_;
};

}  // namespace surprisal
