#pragma once

#include "samplers/chain.h"
#include "samplers/quadrant/config.h"
#include "samplers/sampler.h"

namespace surprisal {

/// The idea under study, as an experiment needs it: entropy and varentropy of the raw distribution
/// (nats, nats^2) cut it into four states, or five with a dead band; every state has one action,
/// gates that it must pass, and another action for when it does not. Attention signals are means
/// over heads and `layers`. `gate` replaces the states by a control as the judge of when to
/// intervene (insert a thought, branch, ask); that of gate `yoked` is a schedule made beforehand.
class Quadrant : public Sampler {
 public:
  Quadrant(ParamReader& params, const SamplerContext& context);

  Needs needs() const override;
  std::unique_ptr<SamplerState> start() const override;
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override;
  void observe(TokenId token, TokenSource source, SamplerState* state) const override;
  void carry_ledger(const SamplerState* latest, SamplerState* restored) const override;
  Base base(const SamplerState* state) const override;

  static SamplerEntry entry();

 private:
  class Memory;

  State classify(const DistributionStatistics& statistics) const;
  /// What the view shows that gates ask about.
  struct Signals;
  Signals signals(const StepView& view) const;
  static bool passes(const StateRule& rule, const Signals& signals);
  bool is_calm(const DistributionStatistics& statistics, const Signals& signals) const;
  /// The intervention that is due here, if one is. @param action  of the state
  std::optional<ActionKind> due(const StepView& view, ActionKind action, Memory& memory,
                                const Draws& draws) const;
  /// Whether the answer's budget allows it.
  static bool is_affordable(ActionKind kind, const StepView& view);
  /// What to do for an intervention, or nothing where it is not allowed now: in a cooldown, beyond
  /// a cap or a budget, or where there is nothing to choose between.
  std::optional<Action> intervention(ActionKind kind, const StepView& view,
                                     const Memory& memory) const;
  Decision intervene(Action action, ActionKind kind, Memory& memory) const;
  Decision choose_token(ActionKind action, const StepView& view, Memory& memory,
                        const Draws& draws) const;
  /// Whether the answer so far ends with the text that makes a retrieval due.
  bool ends_with_trigger(const StepView& view) const;
  /// The texts of the most likely tokens, for a question.
  std::vector<std::string> options(const StepView& view) const;

  QuadrantConfig config_;
  std::unique_ptr<Chain> base_, hotter_;
  const Tokenizer* tokenizer_;  ///< null in tools without a model: then nothing is asked
  std::vector<TokenId> stop_tokens_;
  bool reads_attention_;
};

}  // namespace surprisal
