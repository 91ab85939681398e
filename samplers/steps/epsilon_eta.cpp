#include "samplers/steps/epsilon_eta.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

constexpr double kDefaultEpsilon = 3e-4;

class ProbabilityCutoff : public ChainStep {
 public:
  ProbabilityCutoff(double epsilon, bool scaled, size_t min_keep)
      : epsilon_(epsilon), scaled_(scaled), min_keep_(min_keep) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const DistributionStatistics& row = candidates.statistics();
    const double cutoff =
        scaled_ ? std::min(epsilon_, std::sqrt(epsilon_) * std::exp(-row.entropy)) : epsilon_;
    const double last_safe = candidates.top(min_keep_).back().logit;
    candidates.keep_from(std::min(std::log(cutoff) + row.log_sum_exp, last_safe), 1);
  }

 private:
  double epsilon_;
  bool scaled_;
  size_t min_keep_;
};

std::unique_ptr<ChainStep> create(ParamReader& params, bool scaled) {
  const Range range{.min = 0, .max = 1, .min_exclusive = true, .max_exclusive = true};
  const double epsilon =
      params.number("epsilon", kDefaultEpsilon, range, "probability", "the cutoff (at most)");
  return std::make_unique<ProbabilityCutoff>(epsilon, scaled, read_min_keep(params));
}

}  // namespace

StepEntry epsilon_step() {
  return {StepStage::kTruncate, "p >= epsilon (arXiv 2210.15191)", "epsilon",
          [](ParamReader& params, const StepBuild&) { return create(params, false); }};
}

StepEntry eta_step() {
  return {StepStage::kTruncate, "p >= min(epsilon, sqrt(epsilon) e^-H) (arXiv 2210.15191)",
          "epsilon", [](ParamReader& params, const StepBuild&) { return create(params, true); }};
}

}  // namespace surprisal
