#pragma once

#include "experiments/strategies/panel.h"

namespace surprisal {

/// Several answers; the one whose tokens are the most likely wins: the highest mean ln p of its
/// tokens in the raw distribution, the end of the text not among them. An empty answer loses.
class BestOfN : public PanelStrategy {
 public:
  explicit BestOfN(int64_t n) : n_(n) {}
  int64_t answers() const override { return n_; }
  bool repeats_sampler() const override { return true; }
  static StrategyEntry entry();

 private:
  std::unique_ptr<Panel> convene(const GenerationRequest& request,
                                 const Tokenizer& tokenizer) const override;
  int64_t n_;
};

}  // namespace surprisal
