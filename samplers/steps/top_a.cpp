#include "samplers/steps/top_a.h"

#include <cmath>

namespace surprisal {
namespace {

class TopA : public ChainStep {
 public:
  TopA(double a, size_t min_keep) : a_(a), min_keep_(min_keep) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (a_ == 0) return;
    // ln p >= ln a + 2 ln p_max, with ln p = logit - log_sum_exp
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    candidates.keep_from(std::log(a_) + 2 * candidates.max_logit() - log_sum_exp, min_keep_);
  }

 private:
  double a_;
  size_t min_keep_;
};

}  // namespace

StepEntry top_a_step() {
  return {StepStage::kTruncate, "p >= a p_max^2 (text-generation-webui)", "a",
          [](ParamReader& params, const StepBuild&) {
            const double a = params.number("a", 0, {.min = 0, .max = 1}, "1/probability",
                                           "factor on the square of the largest; 0 is off");
            return std::make_unique<TopA>(a, read_min_keep(params));
          }};
}

}  // namespace surprisal
