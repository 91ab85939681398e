#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "samplers/quadrant/branch_rule.h"
#include "samplers/sampler.h"

namespace surprisal {

/// Where one axis is cut into low and high. With a dead band, values inside it are neither.
struct AxisCut {
  double low, high;  ///< equal where there is one cut; a value equal to the cut is high

  bool is_low(double value) const { return value < low; }
  bool is_high(double value) const { return value >= high; }
};

/// A pair of optional bounds on a signal: above <= signal < below.
struct GateBounds {
  std::optional<double> above, below;

  bool is_set() const { return above || below; }
  bool holds(double signal) const {
    return (!above || signal >= *above) && (!below || signal < *below);
  }
};

/// What a state does, and what must hold for it.
struct StateRule {
  ActionKind action;
  ActionKind otherwise;  ///< when a gate fails, or an intervention is due but not allowed
  GateBounds attention_entropy, agreement, max_probability;
  std::optional<bool> fork;  ///< the fork predicate must hold, or must not

  bool has_gate() const {
    return attention_entropy.is_set() || agreement.is_set() || max_probability.is_set() || fork;
  }
  bool reads_attention() const { return attention_entropy.is_set() || agreement.is_set(); }
};

/// When a thought is inserted, and how long reflection lasts.
struct ThinkRule {
  std::string text;
  std::vector<TokenId> tokens;  ///< empty without a tokenizer
  int64_t first_after;          ///< tokens of the answer before the first insertion
  int64_t cooldown;             ///< tokens after a reflection's end before the next insertion
  int64_t max_per_answer;
  /// What a calm token's distribution must show; by default an entropy below calm_entropy.
  GateBounds entropy, varentropy, max_probability, attention_entropy, agreement;
  int64_t calm_tokens;  ///< so many in a row end the reflection
  int64_t cap;          ///< tokens after which it ends anyway

  bool reads_attention() const { return attention_entropy.is_set() || agreement.is_set(); }
};

/// What decides *when* an intervention happens. The controls replace the states in that alone:
/// argmax, chain and hotter still follow the states.
enum class ControlGate {
  kStates,          ///< the state's own action
  kEntropy,         ///< entropy is high, whatever the varentropy
  kMaxProbability,  ///< p1 is below max_probability_cut
  kRandom,          ///< with probability random_rate, whatever the distribution
  kEnding,          ///< the most likely token would end the answer
  kYoked,           ///< where a schedule says, whatever the distribution
};

struct QuadrantConfig {
  /// @throws Error(kConfig)
  QuadrantConfig(ParamReader& params, const SamplerContext& context);

  AxisCut entropy, varentropy;                            ///< nats, nats^2
  std::array<StateRule, std::size(kStateNames)> rules{};  ///< by State; that of kNone is not used
  ForkPredicate fork;
  ThinkRule think;
  BranchRule branch;
  AskRule ask;
  RetrieveRule retrieve;
  RewindRule rewind;
  ControlGate gate;
  double max_probability_cut, random_rate;
  ActionKind intervention;      ///< what the control gates do when they fire
  std::vector<int64_t> layers;  ///< whose attention is read; empty: all

 private:
  /// Schedules are of answers that kept their pace; a second one would only lose places.
  void leave_pace_to_schedule(const ParamReader& params);
};

/// Whether an action does more than choose a token.
bool is_intervention(ActionKind action);

}  // namespace surprisal
