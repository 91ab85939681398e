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
      std::nullopt;  ///< the branch reached the end of the whole answer
  bool done = false;
};

/// A fork being explored: grows each candidate by the plan, then scores and compares.
class Branching {
 public:
  /// @param first_path  path number of the first branch
  /// @param most_tokens  how many tokens the answer may still get
  Branching(const Walk& walk, const Branch& branch, const Decision& decision, uint32_t first_path,
            int64_t most_tokens, const GenerationRequest& request);

  /// Takes one step with a rollout whose node is evaluated.
  void step(Rollout& rollout);
  std::vector<Rollout>& rollouts() { return rollouts_; }
  bool done() const;

  struct Verdict {
    size_t best = 0;
    std::vector<size_t> tied;           ///< best first; size > 1 only when contents differ
    std::vector<BranchRecord> records;  ///< one per rollout; `kept` not yet set
  };
  Verdict compare() const;

  /// The text a branch has added, or the answer it reached.
  std::string content(const Rollout& rollout) const;

 private:
  bool reached_stop(const Rollout& rollout) const;
  std::string added_text(const Rollout& rollout) const;
  bool differ(const Rollout& a, const Rollout& b) const;

  const GenerationRequest& request_;
  BranchPlan plan_;
  size_t fork_;        // taken tokens before the fork
  size_t text_begin_;  // bytes of text before it
  int64_t most_tokens_;
  std::vector<Rollout> rollouts_;
};

/// Levenshtein distance over the longer length, in [0, 1]; of Unicode code points' bytes.
double normalized_edit_distance(const std::string& a, const std::string& b);

}  // namespace surprisal
