#include "samplers/steps/tail_free.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace surprisal {
namespace {

class TailFree : public ChainStep {
 public:
  TailFree(double z, size_t min_keep) : z_(z), min_keep_(min_keep) {}

  void apply(Candidates& candidates, const StepContext& context, SamplerState*) const override {
    if (z_ >= 1 || candidates.size() < 2) return;
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    std::vector<double> p;
    for (const auto& [token, logit] : candidates.top(candidates.size()))
      p.push_back(std::exp(logit - log_sum_exp));
    // Further banned tokens change nothing: two suffice for both differences.
    for (size_t banned = 0; banned < 2 && p.size() < context.view.logits.size(); ++banned)
      p.push_back(0);
    std::vector<double> curvature;
    double total = 0;
    for (size_t i = 0; i + 2 < p.size(); ++i) {
      curvature.push_back(std::abs(p[i + 2] - 2 * p[i + 1] + p[i]));
      total += curvature.back();
    }
    const size_t end = p.size() - 1;  // the last is always removed
    size_t kept = std::min<size_t>(1, end);
    double sum = 0;
    // A row without curvature gives 0 / 0, which removes nothing in the original either.
    for (const double c : curvature) {
      sum += total > 0 ? c / total : 0;
      if (sum > z_) break;
      ++kept;
    }
    candidates.keep_top(std::max({kept, min_keep_, size_t{1}}));
  }

 private:
  double z_;
  size_t min_keep_;
};

}  // namespace

StepEntry tail_free_step() {
  return {StepStage::kTruncate,
          "sorted prefix before the curvature of p is spent (text-generation-webui)", "z",
          [](ParamReader& params, const StepBuild&) {
            const double z = params.number("z", 1, {.min = 0, .max = 1}, "",
                                           "share of the curvature to keep; 1 is off");
            return std::make_unique<TailFree>(z, read_min_keep(params));
          }};
}

}  // namespace surprisal
