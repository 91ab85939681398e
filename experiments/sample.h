#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/task.h"
#include "samplers/decision.h"

namespace surprisal {

/// Why an answer ended. Stored as an HDF5 enum in traces.
enum class StopReason : uint8_t { kEndOfText, kStopString, kLength, kContext, kSampler };
inline constexpr std::string_view kStopReasonNames[] = {"end_of_text", "stop_string", "length",
                                                        "context", "sampler"};

/// One row of /tokens: a token that entered the context after the prompt, with the statistics of
/// the distribution that preceded it. Names and units as in the trace schema.
struct TokenRecord {
  int32_t position = 0;  ///< from the prompt's first token
  int32_t attempt = 0;
  TokenId token_id = 0;
  int32_t node = -1;  ///< row of /nodes; sample-local until a trace is built
  TokenSource source = TokenSource::kSampled;
  State state = State::kNone;
  ActionKind action = ActionKind::kChain;
  Gate gate = Gate::kNone;
  float entropy = 0, varentropy = 0, max_probability = 0, second_probability = 0;
  float logprob = 0;
  int32_t rank = 0;            ///< 0 = most probable; ties count the lower id first
  float sampling_logprob = 0;  ///< NaN for tokens that were not sampled
  int32_t kept = 0;
  float temperature = 0;
  float decision_entropy = 0, decision_varentropy = 0, threshold_margin = 0;
  float attention_entropy = 0, attention_varentropy = 0, attention_agreement = 0,
        attention_sink = 0;  ///< NaN when not recorded
};

/// What /nodes holds of the same rows: dependent on the context alone.
struct NodeRecord {
  int32_t parent = -1;   ///< sample-local index; -1 for the prompt's end
  TokenId token_id = 0;  ///< the token that led here; -1 for the prompt's end
  std::vector<TokenId> top_k_token_id;
  std::vector<float> top_k_logprob;
  float tail_mass = 0;                   ///< probability outside the top k
  std::vector<float> attention_entropy;  ///< [L] or [L*H], or empty
  std::vector<float> attention_varentropy;
  std::vector<float> attention_agreement;  ///< [L]
  std::vector<uint16_t> logits_f16;        ///< [V], or empty
  std::vector<uint16_t> maps_f16;          ///< [L*H*S], S keys of the last query; or empty
};

/// kChoose: a strategy kept one of several answers.
enum class EventKind : uint8_t { kThink, kBranch, kAsk, kRetrieve, kRewind, kStop, kChoose };
inline constexpr std::string_view kEventNames[] = {"think",  "branch", "ask",   "retrieve",
                                                   "rewind", "stop",   "choose"};
struct EventRecord {
  int32_t position = 0;
  EventKind kind = EventKind::kThink;
  std::string detail;
};

/// A branch that was followed: of the winner only the figures (its tokens are the answer's), of the
/// losers the tokens too. What a rewind took back is recorded as a loser without rivals, and a
/// strategy's whole answers as branches that part where the prompt ends.
struct BranchRecord {
  int32_t fork_position = 0;
  TokenId candidate = 0;                                ///< -1: the branch is empty
  int32_t length = 0;                                   ///< tokens, the candidate included
  float entropy = 0, varentropy = 0, mean_logprob = 0;  ///< means over the compared length
  float score = 0;
  bool kept = false;
  std::string text;
  std::vector<TokenRecord> tokens;
};

/// A half-open byte range of a response.
struct TextSpan {
  int64_t begin = 0, end = 0;
};

/// One half of a randomised fork, to its end under the base chain.
struct TwinAnswer {
  std::string response;           ///< whole, what stood before the fork included
  std::vector<TextSpan> foreign;  ///< injected and retrieved spans of it; for scoring, not kept
  StopReason stop_reason = StopReason::kLength;
  int64_t generated_tokens = 0;
  int64_t token_evaluations = 0;  ///< from the fork on; in no answer's own cost
  Score score;
};

/// A place where a state fired and a draw said that both be seen: what comes of acting on it
/// (treated) and of letting the base chain go on (untreated). The answer itself is not touched.
struct TwinRecord {
  TokenRecord fork;  ///< statistics, state and action there; its token is the most likely one
  TwinAnswer treated, untreated;
};

/// What an answer would cost alone (design, contract 6).
struct Cost {
  int64_t token_evaluations = 0;  ///< tokens the model had to process, prompt included
  double flops = 0;               ///< from shapes, attention included
  int64_t forward_passes = 0;     ///< sequential steps
};

/// One finished answer: what the spool keeps and everything else is built from.
struct Sample {
  std::string cell;  ///< id
  int64_t doc_id = 0;
  int64_t repeat = 0;
  uint64_t seed = 0;  ///< the run's
  std::string question_sha256;
  std::string prompt;             ///< exactly what was tokenised
  std::string response;           ///< injected and retrieved text included
  std::vector<TextSpan> foreign;  ///< injected and retrieved spans of `response`
  std::string target;
  std::vector<std::pair<std::string, Json>> tags;
  Score score;
  StopReason stop_reason = StopReason::kLength;
  int64_t prompt_tokens = 0, generated_tokens = 0, injected_tokens = 0, retrieved_tokens = 0,
          discarded_tokens = 0, interventions = 0;
  Cost cost;
  std::vector<TokenRecord> tokens;
  std::vector<NodeRecord> nodes;  ///< one per token row, in order, where `trace` asks; else empty
  std::vector<EventRecord> events;
  std::vector<BranchRecord> branches;
  std::vector<TwinRecord> twins;
};

}  // namespace surprisal
