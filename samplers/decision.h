#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lib/tokenizer.h"

namespace surprisal {

class Sampler;

/// What a sampler wants done next (design, contract 4). The sampler says what; the engine does it.
struct Emit {
  TokenId token;
};
/// Put these tokens into the context without sampling them.
struct Inject {
  std::vector<TokenId> tokens;
  std::string text;  ///< what the tokens spell
};
/// How branches grow, end, and are compared.
struct BranchPlan {
  enum class StopAt : uint8_t { kHorizon, kSentence, kLowEntropy, kAnswer, kEndOfText };
  enum class Compare : uint8_t { kMeanLogprob, kMeanEntropy, kMeanVarentropy, kWeighted };

  int64_t horizon = 16;  ///< most tokens a branch may grow in a round, the fork token included
  /// A beam: after each round but the last the `keep` best branches part again, each into as many
  /// of its most likely tokens as there were candidates. In the end the best is kept.
  int64_t rounds = 1, keep = 1;
  StopAt stop_at = StopAt::kHorizon;  ///< what ends a branch before its horizon
  double low_entropy = 0.5;           ///< nats; for StopAt::kLowEntropy
  const Sampler* rollout = nullptr;  ///< chooses the tokens after the fork; null = greedy. Borrowed
  /// A branch's score is a mean over its first m tokens, the fork token included, where m is the
  /// length of the shortest branch: of ln p; of -entropy; of -varentropy; or the weighted sum.
  Compare compare = Compare::kMeanLogprob;
  double weight_logprob = 1, weight_entropy = 0, weight_varentropy = 0;  ///< for kWeighted
  double margin = 0;  ///< branches within it of the best score tie (per token)
  /// Tied branches differ in content when their answers do, or without answers when their texts'
  /// normalised edit distance exceeds this. A tie with different content becomes AskUser.
  double different_from = 0.5;
};
inline constexpr std::string_view kStopAtNames[] = {"horizon", "sentence", "low_entropy", "answer",
                                                    "end_of_text"};
inline constexpr std::string_view kCompareNames[] = {"mean_logprob", "mean_entropy",
                                                     "mean_varentropy", "weighted"};
/// Follow each candidate as told by the plan, keep the best.
struct Branch {
  std::vector<TokenId> candidates;
  BranchPlan plan;
};
/// Take back `count` tokens; with `ban`, what was chosen at that place may not be chosen again.
struct Rewind {
  int64_t count;
  bool ban;
};
struct AskUser {
  std::string question;
  std::vector<std::string> options;
  size_t best = 0;          ///< the option that would be taken without asking
  std::string so_far = {};  ///< what the answer says up to here; the engine fills it in
};
struct Retrieve {
  std::string query;
};
struct Stop {
  std::string reason;
};
using Action = std::variant<Emit, Inject, Branch, Rewind, AskUser, Retrieve, Stop>;

/// The sampler's view of the distribution. Stored as an HDF5 enum in traces.
enum class State : uint8_t {
  kNone,    ///< the sampler has no states
  kLowLow,  ///< low entropy, low varentropy
  kLowHigh,
  kHighLow,
  kHighHigh,
  kBetween,     ///< inside a dead band, or Entropix's adaptive case
  kReflecting,  ///< a thought was inserted and confidence has not come back
};
inline constexpr std::string_view kStateNames[] = {"none",      "low_low", "low_high",  "high_low",
                                                   "high_high", "between", "reflecting"};

/// What was done for the token of a trace row.
enum class ActionKind : uint8_t {
  kArgmax,
  kChain,
  kHotter,
  kThink,
  kBranch,
  kRetrieve,
  kAsk,
  kRewind,
  kStop,
  kAdaptive
};
inline constexpr std::string_view kActionNames[] = {"argmax", "chain",    "hotter", "think",
                                                    "branch", "retrieve", "ask",    "rewind",
                                                    "stop",   "adaptive"};

/// What stood between a state and its action.
enum class Gate : uint8_t {
  kNone,  ///< no gate was configured
  kPassed,
  kFailed,    ///< a gate's condition did not hold: the fallback action was taken
  kCooldown,  ///< an intervention was due but a cooldown, a cap or a reflection was in force
  kRandom,    ///< a control gate fired at random
  kBudget,    ///< an intervention was due but the answer's budget was used up
};
inline constexpr std::string_view kGateNames[] = {"none",     "passed", "failed",
                                                  "cooldown", "random", "budget"};

/// Who put a token into the context. Stored as an HDF5 enum in traces.
enum class TokenSource : uint8_t { kSampled, kInjected, kRetrieved, kBranch, kUser };
inline constexpr std::string_view kSourceNames[] = {"sampled", "injected", "retrieved", "branch",
                                                    "user"};

/// A token and its probability in the distribution that was drawn from.
struct Candidate {
  TokenId token;
  float logit;  ///< after the sampler's edits
  float probability;
};

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// A decision and its why; every field goes into the trace.
struct Decision {
  Action action = Stop{"undecided"};
  State state = State::kNone;
  ActionKind kind = ActionKind::kChain;
  Gate gate = Gate::kNone;
  double temperature = 1;  ///< 0 for argmax
  int64_t kept = 0;        ///< tokens with probability > 0 in the distribution drawn from
  double sampling_logprob = kUnknown;     ///< ln of the emitted token's probability there
  double decision_entropy = kUnknown;     ///< as the sampler computed it, in its own units
  double decision_varentropy = kUnknown;  ///< likewise
  double threshold_margin = kUnknown;  ///< signed distance to the nearest threshold (> 0: above it)
  /// Sampler-specific numbers for people and tests ("attention_entropy", "score", ...).
  std::vector<std::pair<std::string, double>> metrics;
  /// The distribution drawn from, tokens with probability > 0 only; filled when StepView asks.
  std::vector<Candidate> distribution;
};

}  // namespace surprisal
