#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/sample.h"
#include "lib/tokenizer.h"
#include "models/model.h"
#include "samplers/sampler.h"

namespace surprisal {

/// What a trace keeps per token beyond the scalar columns.
struct TraceOptions {
  enum class Attention { kNone, kSummary, kLayers, kHeads, kMaps };  ///< each more than the last
  int64_t top_k = 5;
  Attention attention = Attention::kSummary;
  bool logits_f16 = false;

  bool per_layer() const { return attention >= Attention::kLayers; }
  bool per_head() const { return attention >= Attention::kHeads; }
  bool maps() const { return attention >= Attention::kMaps; }
};

/// Limits of one answer beyond its length; reaching one makes the sampler fall back to its chain.
struct Budget {
  int64_t max_token_evaluations = std::numeric_limits<int64_t>::max();
  int64_t max_branches =
      std::numeric_limits<int64_t>::max();  ///< branches followed, over all forks
  int64_t max_injected = std::numeric_limits<int64_t>::max();  ///< injected and retrieved tokens
};

/// Who answers when the sampler asks.
struct AskReply {
  size_t option = 0;
  std::optional<std::string> own_words;  ///< instead of an option; inserted as the user's text
};
using AskPolicy = std::function<AskReply(const AskUser&, const Draws&)>;
/// Who answers when nobody is there: the option held for best, the first named, or any.
inline constexpr std::string_view kAskPolicyNames[] = {"best", "first", "random"};
/// The name of what is no policy: a person at a terminal. Answers it steered are no method's.
inline constexpr std::string_view kPerson = "person";
/// @param name  one of kAskPolicyNames @throws Error(kUnknownName)
AskPolicy ask_policy(const std::string& name);

/// Looks something up; returns the text to insert, "" for nothing found. May throw Error.
using LookUp = std::function<std::string(const std::string& query)>;

/// Randomised twins: where a state fires, whether the answer is also followed both ways.
struct Counterfactual {
  double probability = 0;           ///< of each place where one of the actions is decided upon
  std::vector<ActionKind> actions;  ///< which interventions
};

class Strategy;

/// One answer to be generated: what to ask, how to choose tokens, when to stop.
struct GenerationRequest {
  int64_t id = 0;  ///< the caller's; handed back with the result
  std::vector<TokenId> prompt;
  const Sampler* sampler = nullptr;  ///< borrowed; outlives the request
  uint64_t draws_key = 0;
  uint32_t path = 0;
  int64_t max_new_tokens = 256;
  std::vector<std::string> stop_strings;  ///< cut at the first occurrence, as lm-eval does
  std::vector<TokenId> stop_tokens;       ///< end of text; not part of the answer
  bool ends_at(TokenId token) const { return std::ranges::count(stop_tokens, token) > 0; }
  Budget budget = {};
  AskPolicy ask = {};    ///< empty: the best option
  LookUp retrieve = {};  ///< empty: Retrieve is refused
  Counterfactual counterfactual = {};
  /// The answer a text gives, "" if none yet; an empty function: texts have no answers.
  std::function<std::string(const std::string&)> extract_answer = {};
  /// The answer's interventions, for samplers that need them settled beforehand.
  std::optional<std::vector<PlannedIntervention>> schedule = {};
  const Strategy* strategy = nullptr;      ///< makes several answers of it; null: one. Borrowed
  std::vector<uint64_t> member_keys = {};  ///< draws keys of a strategy's answers, in order
};

struct GenerationResult {
  int64_t id = 0;
  std::string response;           ///< cut at the stop; injected text included
  std::vector<TextSpan> foreign;  ///< injected and retrieved spans of `response`
  StopReason stop_reason = StopReason::kLength;
  int64_t prompt_tokens = 0, generated_tokens = 0, injected_tokens = 0, retrieved_tokens = 0,
          discarded_tokens = 0, interventions = 0;
  Cost cost;
  std::vector<TokenRecord> tokens;
  std::vector<NodeRecord> nodes;
  std::vector<EventRecord> events;
  std::vector<BranchRecord> branches;
  std::vector<TwinRecord> twins;  ///< not yet scored
};

struct EngineOptions {
  int64_t batch = 16;                        ///< rows extended at once
  int64_t prefill_chunk = 512;               ///< prompt tokens per forward pass, over all rows
  int64_t memory_bytes = 0;                  ///< for keys and values; 0 = from the machine's
  int64_t logits_bytes = int64_t{32} << 20;  ///< for logits of past passes; see RememberedLogits
  /// Answers share what they compute of equal contexts, beginnings of prompts included. Without,
  /// each one computes all of it: what independent runs would cost, in one program.
  bool sharing = true;
  TraceOptions trace = {};
};

/// Figures of what was really computed, for progress and the manifest.
struct EngineCounters {
  int64_t computed_tokens = 0;  ///< tokens the model processed, over all rows
  int64_t forward_passes = 0;
  int64_t peak_rows = 0;         ///< of a forward pass
  int64_t peak_cache_bytes = 0;  ///< of keys and values in use
};

/// Carries out samplers' decisions. Requests with the same prompt are cursors on one tree of
/// tokens, each node of which is computed once; the rows of a forward pass are the nodes that
/// somebody waits for, over all trees (continuous batching). When memory is short, work is
/// forgotten and redone. One thread calls run().
class Engine {
 public:
  /// @param model, tokenizer  borrowed; outlive the engine
  Engine(const Model& model, const Tokenizer& tokenizer, EngineOptions options);
  ~Engine();

  /// Draws requests from `next` (nullopt: no more) whenever a row is free, and hands each result to
  /// `finished` as soon as it is there. Returns when all are done or `interrupted` says so.
  void run(
      const std::function<std::optional<GenerationRequest>()>& next,
      const std::function<void(GenerationResult)>& finished,
      const std::function<bool()>& interrupted = [] { return false; },
      const std::function<void(int64_t request, TokenId token, const TokenRecord& record)>&
          on_token = nullptr);

  const EngineCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace surprisal
