#include "samplers/steps/no_repeat_ngram.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace surprisal {
namespace {

class NoRepeatNgram : public ChainStep {
 public:
  explicit NoRepeatNgram(size_t n) : n_(n) {}

  void apply(Candidates& candidates, const StepContext& context, SamplerState*) const override {
    const auto tokens = context.view.tokens;
    if (n_ == 0 || tokens.size() < n_) return;
    const auto ending = tokens.last(n_ - 1);
    std::map<TokenId, bool> banned;
    for (size_t start = 0; start + n_ <= tokens.size(); ++start)
      if (std::equal(ending.begin(), ending.end(), tokens.begin() + static_cast<ptrdiff_t>(start)))
        banned[tokens[start + n_ - 1]] = true;
    if (!banned.empty()) candidates.transform(banned, [](double, bool) { return -HUGE_VAL; });
  }

 private:
  size_t n_;
};

}  // namespace

StepEntry no_repeat_ngram_step() {
  return {StepStage::kEdit, "no sequence of n tokens twice (transformers)", "n",
          [](ParamReader& params, const StepBuild&) {
            const int64_t n =
                params.integer("n", 0, {.min = 0, .max = 1e6}, "tokens", "length; 0 is off");
            return std::make_unique<NoRepeatNgram>(static_cast<size_t>(n));
          }};
}

}  // namespace surprisal
