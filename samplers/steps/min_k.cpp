#include "samplers/steps/min_k.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

class MinK : public ChainStep {
 public:
  explicit MinK(double tau) : tau_(tau) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const auto sorted = candidates.top(candidates.size());
    const double range = sorted.front().logit - sorted.back().logit;
    if (range <= 0) return;
    size_t cliff = 1;
    double steepest = -1;
    for (size_t i = 1; i < sorted.size(); ++i) {
      const double fall = (sorted[i - 1].logit - sorted[i].logit) / static_cast<double>(i);
      if (fall > steepest) {
        steepest = fall;
        cliff = i;
      }
    }
    const double least = std::min(std::floor(tau_ / range), static_cast<double>(sorted.size()));
    candidates.keep_top(std::max(cliff, static_cast<size_t>(least)));
  }

 private:
  double tau_;
};

}  // namespace

StepEntry min_k_step() {
  return {StepStage::kTruncate,
          "max(argmax_i (l_i - l_i+1) / (i R), floor(tau / R)) most likely (arXiv 2604.11012)",
          "tau", [](ParamReader& params, const StepBuild&) {
            return std::make_unique<MinK>(params.number(
                "tau", 3, {.min = 0}, "logits", "where rows are flatter, more tokens are kept"));
          }};
}

}  // namespace surprisal
