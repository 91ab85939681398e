#pragma once

#include "experiments/strategies/panel.h"

namespace surprisal {

/// k answers vote; the first of those that gave the most frequent one is kept (maj@k). Answers from
/// which nothing can be extracted abstain; among equally frequent ones that given first wins, which
/// is a fair draw, as the answers come in no particular order.
/// Ref: Wang et al., arXiv:2203.11171.
class SelfConsistency : public PanelStrategy {
 public:
  SelfConsistency(int64_t k, Scorer scorer) : k_(k), scorer_(scorer) {}
  int64_t answers() const override { return k_; }
  bool repeats_sampler() const override { return true; }
  Scorer scorer() const override { return scorer_; }
  static StrategyEntry entry();

 private:
  std::unique_ptr<Panel> convene(const GenerationRequest& request,
                                 const Tokenizer& tokenizer) const override;
  int64_t k_;
  Scorer scorer_;
};

}  // namespace surprisal
