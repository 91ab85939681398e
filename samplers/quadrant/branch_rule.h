#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "samplers/quadrant/fork.h"
#include "samplers/sampler.h"

namespace surprisal {

/// How often something may happen in one answer.
struct Pace {
  int64_t first_after;     ///< tokens of the answer before the first time
  int64_t cooldown;        ///< tokens from one time to the next
  int64_t max_per_answer;  ///< times
};

/// Reads first_after, cooldown and max_per_answer.
/// @throws Error(kConfig)
Pace read_pace(ParamReader& params, int64_t default_cooldown, int64_t default_max);

/// The memory of a Pace: whether it may happen now. What was spent stays spent after a rewind.
class Turns {
 public:
  explicit Turns(const Pace& pace) : left_(pace.first_after) {}

  bool may_happen(const Pace& pace) const { return left_ == 0 && times_ < pace.max_per_answer; }
  void happen(const Pace& pace) {
    ++times_;
    left_ = pace.cooldown;
  }
  /// A token entered the context.
  void step() { left_ = std::max<int64_t>(0, left_ - 1); }
  void keep_ledger(const Turns& latest) {
    times_ = std::max(times_, latest.times_);
    left_ = std::max(left_, latest.left_);
  }

 private:
  int64_t times_ = 0, left_;
};

/// Into what an answer forks when a state says `branch`, and how the branches are judged.
struct BranchRule {
  enum class Candidates {
    kWidth,    ///< the `width` most likely tokens
    kNucleus,  ///< as few of the most likely as together have `nucleus`, 2 to `width` of them
    kFork,     ///< the alternatives of the fork predicate, up to `width`; none: no branching
  };
  Candidates candidates;
  int64_t width;
  double nucleus;
  bool rollout_base;  ///< roll branches out with the base chain; otherwise greedily
  BranchPlan plan;    ///< its rollout is set by the sampler
  Pace pace;

  /// The tokens to follow, the most likely first; fewer than two: there is nothing to compare.
  std::vector<TokenId> choose(const StepView& view, const ForkPredicate& fork) const;
};

/// @throws Error(kConfig)
BranchRule read_branch_rule(ParamReader& params);

/// What a state that says `ask` asks, at a place where tokens are the options.
struct AskRule {
  std::string question;
  int64_t options;  ///< most likely tokens offered
  Pace pace;
};

/// @throws Error(kConfig)
AskRule read_ask_rule(ParamReader& params);

/// When something is looked up, and with which words.
struct RetrieveRule {
  int64_t query_tokens;   ///< the last of the context, prompt included, are the query
  std::string when_text;  ///< a retrieval is due in any state where the answer ends with this
  Pace pace;
};

/// @throws Error(kConfig)
RetrieveRule read_retrieve_rule(ParamReader& params);

/// How far a state that says `rewind` goes back.
struct RewindRule {
  int64_t tokens;  ///< or to the answer's beginning
  bool ban;        ///< what was chosen there is not chosen again
  Pace pace;
};

/// @throws Error(kConfig)
RewindRule read_rewind_rule(ParamReader& params);

}  // namespace surprisal
