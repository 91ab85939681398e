#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/attention_statistics.h"
#include "lib/distribution.h"
#include "lib/draws.h"
#include "lib/params.h"
#include "lib/registry.h"
#include "lib/tokenizer.h"
#include "lib/top_logits.h"
#include "samplers/decision.h"
#include "samplers/row_cache.h"

namespace surprisal {

/// What a sampler reads; the engine computes nothing else.
struct Needs {
  bool attention = false;    ///< AttentionStatistics of all layers
  int64_t padded_slots = 0;  ///< > 0: PaddedAttentionStatistics with that many slots
  /// The answer's first token takes the position after the next, as faithful Entropix has it: a
  /// context of its own, which shares nothing but the prompt with others.
  bool position_gap = false;
  bool schedule = false;   ///< StepView::schedule
  bool retriever = false;  ///< what its look-ups are answered from
};

/// An intervention whose place was settled before the answer began.
struct PlannedIntervention {
  int64_t gap;  ///< tokens of the answer since the last one's place, or since its beginning
  ActionKind kind;
};

/// Everything a sampler may look at before it decides on the next token.
struct StepView {
  std::span<const float> logits;                                ///< [V] raw, finite or -inf
  const DistributionStatistics* statistics = nullptr;           ///< of `logits`; never null
  const AttentionStatistics* attention = nullptr;               ///< null unless needed
  const PaddedAttentionStatistics* padded_attention = nullptr;  ///< null unless needed
  const std::vector<PlannedIntervention>* schedule = nullptr;   ///< null unless needed
  /// Of `logits`, where several requests may look at them; whoever puts others there makes it null.
  RowCache* shared = nullptr;
  std::span<const TokenId> tokens;  ///< the context: prompt, then the answer so far
  int64_t prompt_length = 0;
  /// What the answer's budgets still allow; a sampler falls back to its chain when an action is
  /// not.
  int64_t remaining_tokens = std::numeric_limits<int64_t>::max();
  bool may_inject = true;
  bool may_branch = true;
  bool may_rewind = true;
  bool want_distribution = false;  ///< fill Decision::distribution

  /// The `count` most likely tokens, as top_logits() gives them; looked up once for all requests.
  std::vector<RankedLogit> top(size_t count) const;

  std::span<const TokenId> generated() const {
    return tokens.subspan(static_cast<size_t>(prompt_length));
  }
};

/// A request's memory between steps. Copied at forks, snapshotted for rewinds.
class SamplerState {
 public:
  virtual ~SamplerState() = default;
  virtual std::unique_ptr<SamplerState> clone() const = 0;
};

/// A token-level strategy: (logits, attention statistics, history, draws) -> Decision.
/// Const after construction and shared by all requests of its cell; whatever changes from token to
/// token lives in the SamplerState.
class Sampler {
 public:
  virtual ~Sampler() = default;

  virtual Needs needs() const { return {}; }

  /// The state before the first token; null for samplers without memory.
  virtual std::unique_ptr<SamplerState> start() const { return nullptr; }

  /// Told of the logits at each position of the prompt, in order, before the first decision, where
  /// they are at hand (try_sampler's `prompt_logits`; the engine computes the last position only).
  virtual void observe_prompt(std::span<const float> /*logits*/, SamplerState* /*state*/) const {}

  /// @throws Error(kNumeric) on a row that cannot be sampled from
  virtual Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const = 0;

  /// Told of every token that enters the context after the prompt, in order, whoever put it there.
  virtual void observe(TokenId /*token*/, TokenSource /*source*/, SamplerState* /*state*/) const {}

  /// For rewinds: what survives in `restored` (a snapshot) of what `latest` has learnt (bans,
  /// cooldowns, budgets).
  virtual void carry_ledger(const SamplerState* /*latest*/, SamplerState* /*restored*/) const {}

  /// What would go on from here without interventions: a sampler and its memory up to now.
  struct Base {
    const Sampler* sampler = nullptr;  ///< null: this sampler does not intervene. Borrowed
    std::unique_ptr<SamplerState> state = nullptr;
  };
  /// @param state  this sampler's own; not changed
  virtual Base base(const SamplerState* /*state*/) const { return {}; }

  /// How many independent answers per question make sense: a sampler whose randomness is fixed
  /// returns the reason why repeats > 1 must be refused.
  virtual std::optional<std::string> refuses_repeats() const { return std::nullopt; }

  /// A caveat that every table about this sampler must carry ("untuned port"), or "".
  virtual std::string label() const { return {}; }
};

/// What a sampler's factory may know about where it will run.
struct SamplerContext {
  const Tokenizer* tokenizer = nullptr;   ///< null in tools without a model
  int64_t vocab_size = 0;                 ///< 0 when unknown
  std::vector<TokenId> stop_tokens = {};  ///< those that end an answer; empty when unknown
};

/// One row of the table of samplers.
struct SamplerEntry {
  std::string summary;  ///< one line
  /// Reads the parameters (strictly) and builds the sampler.
  std::function<std::unique_ptr<Sampler>(ParamReader&, const SamplerContext&)> create;
};
using SamplerRegistry = Registry<SamplerEntry>;

/// greedy, chain, entropix, quadrant, ...
SamplerRegistry builtin_samplers();

/// Builds a sampler from its YAML map {type: NAME, parameters...}.
/// @param resolved  out (may be null): {"type": ..., every parameter with its value}
/// @throws Error(kConfig, kUnknownName) with file:line
std::unique_ptr<Sampler> create_sampler(const SamplerRegistry& registry, const YAML::Node& node,
                                        const std::string& owner, const std::string& file,
                                        const SamplerContext& context, Json* resolved);

}  // namespace surprisal
