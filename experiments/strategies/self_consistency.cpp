#include "experiments/strategies/self_consistency.h"

#include <algorithm>

namespace surprisal {
namespace {

class Majority : public Panel {
 public:
  Majority(const GenerationRequest& request, int64_t k) : request_(request), k_(k) {}

  std::vector<GenerationRequest> next(const std::vector<GenerationResult>& answers) override {
    return answers.empty() ? member_requests(request_, k_) : std::vector<GenerationRequest>();
  }
  Choice choose(const std::vector<GenerationResult>& answers) const override {
    const std::vector<std::string> texts = extracted_answers(request_, answers);
    Choice choice;
    choice.best = weighted_vote(texts, std::vector<double>(texts.size(), 1));
    for (const std::string& text : texts)
      choice.scores.push_back(text.empty() ? 0
                                           : static_cast<double>(std::ranges::count(texts, text)));
    return choice;
  }

 private:
  GenerationRequest request_;
  int64_t k_;
};

}  // namespace

std::unique_ptr<Panel> SelfConsistency::convene(const GenerationRequest& request,
                                                const Tokenizer&) const {
  return std::make_unique<Majority>(request, k_);
}

StrategyEntry SelfConsistency::entry() {
  return {"k answers; the most frequent one is kept (maj@k)", [](ParamReader& params) {
            const int64_t k =
                params.integer("k", 8, {.min = 1, .max = 4096}, "answers", "that vote");
            return std::make_unique<SelfConsistency>(k, read_vote_scorer(params));
          }};
}

}  // namespace surprisal
