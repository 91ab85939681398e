#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "experiments/answer.h"
#include "experiments/strategies/strategy.h"

namespace surprisal {

/// How a panel decided.
struct Choice {
  size_t best = 0;
  std::vector<double> scores;  ///< of each answer, by the panel's own measure
};

/// What several whole answers to one question have to say. Made for each request; it may keep
/// samplers that its answers borrow.
class Panel {
 public:
  virtual ~Panel() = default;
  /// The answers of the next round, all made side by side, given those of the rounds before.
  /// Empty: no further round.
  virtual std::vector<GenerationRequest> next(const std::vector<GenerationResult>& answers) = 0;
  /// @param answers  of all rounds, at least one
  virtual Choice choose(const std::vector<GenerationResult>& answers) const = 0;
};

/// A strategy that makes whole answers and chooses among them. The chosen one is the answer; the
/// others are recorded as its branches, which part from it at the end of the prompt.
class PanelStrategy : public Strategy {
 public:
  std::unique_ptr<Job> start(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
                             const TokenCallback& on_token) const final;

 private:
  /// @param request  to be copied for each answer
  virtual std::unique_ptr<Panel> convene(const GenerationRequest& request,
                                         const Tokenizer& tokenizer) const = 0;
};

/// The request of answer `member` on its own: no strategy, the member's draws.
GenerationRequest member_request(const GenerationRequest& request, size_t member);
/// Those of answers [0, count).
std::vector<GenerationRequest> member_requests(const GenerationRequest& request, int64_t count);

/// What each answer says by the request's reading of its model's own text; "" for nothing.
std::vector<std::string> extracted_answers(const GenerationRequest& request,
                                           const std::vector<GenerationResult>& answers);

/// The heaviest answer: weights of equal texts add up, "" abstains, among equals the one that was
/// given first wins. @return the first place where it stands; 0 when nobody has a weight above 0
size_t weighted_vote(const std::vector<std::string>& answers, const std::vector<double>& weights);

}  // namespace surprisal
