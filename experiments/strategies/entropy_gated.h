#pragma once

#include "experiments/strategies/strategy.h"

namespace surprisal {

/// Entropy-gated branching. The answer grows in steps, which end at a line break or after
/// `step_tokens`. In a step each of up to `beams` hypotheses goes on as the sampler would; at the
/// first place where the entropy exceeds `threshold` it parts into its `expansions` most likely
/// tokens, each of which ends the step by itself; the first step parts at its first token in any
/// case. Then the best `beams` go on; it is over when so many have ended, or none is left.
/// Ref: arXiv:2503.21961; JXL884/entropy_gated_branching@b3a71b6 (confidence_beam_search_vers.py).
/// What differs: there a process reward model scores, here the mean ln p of the answer so far;
/// there expansions are drawn and may begin alike, here they begin with different tokens.
class EntropyGated : public Strategy {
 public:
  struct Options {
    double threshold = 2;
    int64_t expansions = 5, beams = 3, step_tokens = 128;
    bool expand_first = true;
  };
  explicit EntropyGated(const Options& options) : options_(options) {}

  std::unique_ptr<Job> start(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
                             const TokenCallback& on_token) const override;
  int64_t answers() const override { return options_.expansions * options_.beams; }
  static StrategyEntry entry();

 private:
  Options options_;
};

}  // namespace surprisal
