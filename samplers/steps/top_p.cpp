#include "samplers/steps/top_p.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

class TopP : public ChainStep {
 public:
  TopP(double p, size_t min_keep, Dialect dialect)
      : p_(p), min_keep_(min_keep), dialect_(dialect) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (p_ >= 1) return;
    const double log_sum_exp = candidates.log_sum_exp();
    for (size_t look = RowCache::kFewest;; look *= 4) {
      const auto top = candidates.top(look);
      double mass = 0;  // of the tokens before the i-th
      for (size_t i = 0; i < top.size(); ++i) {
        if (i >= min_keep_ && is_complete(mass)) return candidates.keep_top(i);
        mass += std::exp(top[i].logit - log_sum_exp);
      }
      if (top.size() == candidates.size()) return;
      if (look < RowCache::kLongest) continue;
      if (const auto count = candidates.nucleus(p_))
        return candidates.keep_top(std::max(*count, min_keep_));
    }
  }

 private:
  bool is_complete(double mass) const {
    return dialect_ == Dialect::kLlama ? mass >= p_ : 1 - mass <= 1 - p_;
  }

  double p_;
  size_t min_keep_;
  Dialect dialect_;
};

}  // namespace

StepEntry top_p_step() {
  return {StepStage::kTruncate, "the shortest most-likely-first prefix with a mass of p", "p",
          [](ParamReader& params, const StepBuild& build) {
            const double p =
                params.number("p", 0.95, {.min = 0, .max = 1}, "", "mass of the nucleus; 1 is off");
            return std::make_unique<TopP>(p, read_min_keep(params), build.dialect);
          },
          "llama adds from the top until p, hf and vllm drop from the bottom up to 1 - p:"
          " rounding decides alone"};
}

}  // namespace surprisal
