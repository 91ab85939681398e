#include "samplers/steps/min_p.h"

#include <cmath>

namespace surprisal {
namespace {

class MinP : public ChainStep {
 public:
  MinP(double p, size_t min_keep) : p_(p), min_keep_(min_keep) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (p_ > 0) candidates.keep_from(candidates.max_logit() + std::log(p_), min_keep_);
  }

 private:
  double p_;
  size_t min_keep_;
};

}  // namespace

StepEntry min_p_step() {
  return {StepStage::kTruncate, "tokens with at least p times the largest probability", "p",
          [](ParamReader& params, const StepBuild& build) {
            Range range{.min = 0};
            if (build.dialect != Dialect::kLlama) range.max = 1;
            const double p =
                params.number("p", 0.05, range, "", "share of the largest probability; 0 is off");
            return std::make_unique<MinP>(p, read_min_keep(params));
          },
          "llama accepts p > 1, which leaves the most likely"};
}

}  // namespace surprisal
