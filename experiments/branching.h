#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/walk.h"
#include "samplers/sampler.h"

namespace surprisal {

/// One branch on its way: a copy of the answer's walk that goes on by itself.
struct Rollout {
  Walk walk;
  std::unique_ptr<SamplerState> state = nullptr;  ///< of the plan's roll-out sampler
  uint32_t path = 0;                              ///< its number within the answer, for the draws
  std::optional<StopReason> ended_answer =
      std::nullopt;         ///< the branch reached the end of the whole answer
  size_t round_begin = 0;   ///< taken tokens when its round began
  size_t place = 0;         ///< among those of its round when that began
  std::string answer = "";  ///< what it said at its last token, where branches go to an answer
  bool has_answer = false;  ///< and a further token left it as it was
  bool parts = false;       ///< goes on into several at its next step
  bool done = false;        ///< with this round
};

/// A fork being explored: grows each candidate by the plan, then scores and compares.
class Branching {
 public:
  struct Limits {
    int64_t tokens;    ///< that the answer may still get
    int64_t branches;  ///< that it may still follow; the first round is not held up by it
  };
  /// @param first_path  path number of the first branch
  Branching(const Walk& walk, const Branch& branch, const Decision& decision, const Limits& limits,
            uint32_t first_path, const GenerationRequest& request);

  /// Takes one step with a rollout whose node is evaluated; may add rollouts behind it.
  void step(size_t index);
  std::vector<Rollout>& rollouts() { return rollouts_; }
  /// Whether all are done with this round.
  bool done() const;
  /// Ends a round: gives up all but the best branches and lets these part again.
  /// @return false: that was the last one
  bool next_round();

  /// Branches followed so far.
  int64_t followed() const { return followed_; }
  /// The first path number behind theirs. Some of theirs may be unused: a branch's number must not
  /// depend on how far the other branches are at the time.
  uint32_t next_path() const { return next_path_; }
  /// Sequential steps: side by side, the branches of a round take as many as the longest; the fork
  /// token itself was chosen by the step before. Call when all is done.
  int64_t passes() const { return passes_ + longest_of_round() - 1; }
  /// The branches of earlier rounds that did not go on. Call once.
  std::vector<BranchRecord> take_given_up() { return std::move(given_up_); }

  struct Verdict {
    size_t best = 0;
    std::vector<size_t> tied;           ///< best first; size > 1 only when contents differ
    std::vector<BranchRecord> records;  ///< one per rollout; `kept` not yet set
  };
  Verdict compare() const;

  /// The text a branch has added, or the answer it reached.
  std::string content(const Rollout& rollout) const;

 private:
  void part(size_t index);
  Rollout branch_of(const Walk& walk, TokenId candidate, size_t number);
  int64_t longest_of_round() const;
  int64_t length_left(const Rollout& rollout) const;
  std::string answer_of(const Rollout& rollout) const;
  bool reached_stop(Rollout& rollout) const;
  std::string added_text(const Rollout& rollout) const;
  bool differ(const Rollout& a, const Rollout& b) const;

  const GenerationRequest& request_;
  BranchPlan plan_;
  size_t fork_;        // taken tokens before the fork
  size_t text_begin_;  // bytes of text before it
  size_t width_;       // candidates
  Decision decision_;  // to branch
  Limits limits_;
  uint32_t first_path_, next_path_;  // of this round, and behind it
  int64_t round_ = 1, followed_ = 0, passes_ = 0;
  std::vector<Rollout> rollouts_;
  std::vector<BranchRecord> given_up_;
};

/// Levenshtein distance over the longer length, in [0, 1]; of Unicode code points' bytes.
double normalized_edit_distance(const std::string& a, const std::string& b);

}  // namespace surprisal
