#include "samplers/steps/top_n_sigma.h"

#include <cmath>

namespace surprisal {
namespace {

class TopNSigma : public ChainStep {
 public:
  TopNSigma(double n, bool population) : n_(n), population_(population) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (n_ <= 0 || candidates.size() < 2) return;
    const auto count = static_cast<double>(candidates.size());
    double sum = 0, squares = 0;
    candidates.for_each([&](TokenId, double logit) { sum += logit; });
    const double mean = sum / count;
    candidates.for_each([&](TokenId, double logit) { squares += (logit - mean) * (logit - mean); });
    const double sigma = std::sqrt(squares / (population_ ? count : count - 1));
    candidates.keep_from(candidates.max_logit() - n_ * sigma, 1);
  }

 private:
  double n_;
  bool population_;
};

}  // namespace

StepEntry top_n_sigma_step() {
  return {StepStage::kTruncate, "l >= l_max - n sigma of the logits (arXiv 2411.07641)", "n",
          [](ParamReader& params, const StepBuild& build) {
            const double n = params.number("n", 1, {}, "standard deviations",
                                           "distance from the largest logit; 0 or less is off");
            return std::make_unique<TopNSigma>(n, build.dialect == Dialect::kLlama);
          },
          "sigma over n in llama, over n - 1 else"};
}

}  // namespace surprisal
