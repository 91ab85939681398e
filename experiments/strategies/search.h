#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "experiments/cost_ledger.h"
#include "experiments/strategies/strategy.h"

namespace surprisal {

/// A way down the tree that competes with others.
struct Hypothesis {
  Walk walk;
  std::unique_ptr<SamplerState> state = nullptr;  ///< where a sampler chooses its tokens
  uint32_t path = 0;                              ///< its number within the answer, for the draws
  double logprob = 0;  ///< sum of ln p of its tokens, raw; the end of the text included
  int64_t scored = 0;  ///< tokens in that sum
  std::optional<StopReason> ended = std::nullopt;

  /// Mean ln p of a token where the exponent is 1; 0 for a hypothesis without tokens.
  double score(double length_exponent = 1) const;
};

/// What searches for an answer along several hypotheses have in common: costs, ends, the record.
class Search : public Job {
 public:
  Search(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
         const TokenCallback& on_token);

  void advance() override {
    while (!finished_ && go_on()) {
    }
  }
  bool finished() const override { return finished_; }
  TokenTree& tree() override { return *tree_; }
  Needs needs() const override { return needs_; }
  GenerationResult take_result() override { return std::move(result_); }

 protected:
  /// Does what can be done now. @return false: it waits for the model
  virtual bool go_on() = 0;

  /// The hypothesis that has no token yet.
  Hypothesis root() const;
  bool is_known(const Hypothesis& hypothesis) const {
    return hypothesis.walk.evaluation().serves(needs_);
  }
  /// Takes a token, or ends the text with a stop token; notes what else ends it.
  void take(Hypothesis& hypothesis, TokenId token, const Decision& decision);
  /// Keeps the whole of a hypothesis that is given up, as a branch that parts where the prompt
  /// ends.
  void give_up(const Hypothesis& hypothesis, double score);
  /// Whether the answer's budget allows to follow more than one hypothesis; a used-up one is noted.
  bool may_spend();
  /// The answer is `winner`.
  void finish(Hypothesis winner, double score);

  GenerationRequest request_;
  CostLedger ledger_;

 private:
  TokenTree* tree_;
  WalkSetting setting_;
  const TokenCallback* on_token_;
  Needs needs_;
  int64_t taken_ = 0;  ///< tokens, over all hypotheses
  bool finished_ = false, has_spent_ = false;
  GenerationResult result_;
};

}  // namespace surprisal
