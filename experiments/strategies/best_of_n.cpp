#include "experiments/strategies/best_of_n.h"

#include <algorithm>
#include <limits>

namespace surprisal {
namespace {

class LikeliestAnswer : public Panel {
 public:
  explicit LikeliestAnswer(std::vector<GenerationRequest> requests)
      : requests_(std::move(requests)) {}

  std::vector<GenerationRequest> next(const std::vector<GenerationResult>&) override {
    return std::exchange(requests_, {});
  }
  Choice choose(const std::vector<GenerationResult>& answers) const override {
    Choice choice;
    for (const GenerationResult& answer : answers) {
      double sum = 0;
      for (const TokenRecord& token : answer.tokens) sum += token.logprob;
      choice.scores.push_back(answer.tokens.empty()
                                  ? -std::numeric_limits<double>::infinity()
                                  : sum / static_cast<double>(answer.tokens.size()));
    }
    choice.best =
        static_cast<size_t>(std::ranges::max_element(choice.scores) - choice.scores.begin());
    return choice;
  }

 private:
  std::vector<GenerationRequest> requests_;
};

}  // namespace

std::unique_ptr<Panel> BestOfN::convene(const GenerationRequest& request, const Tokenizer&) const {
  return std::make_unique<LikeliestAnswer>(member_requests(request, n_));
}

StrategyEntry BestOfN::entry() {
  return {"n answers; the one with the highest mean log-probability is kept",
          [](ParamReader& params) {
            return std::make_unique<BestOfN>(
                params.integer("n", 8, {.min = 1, .max = 4096}, "answers", "to choose from"));
          }};
}

}  // namespace surprisal
