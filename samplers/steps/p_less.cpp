#include "samplers/steps/p_less.h"

#include <cmath>

namespace surprisal {
namespace {

constexpr double kLlamaTolerance = 1e-5;
constexpr double kRounding = 1e-9;  // of ln threshold: float32 logits that ought to be equal are

class PLess : public ChainStep {
 public:
  PLess(double order, bool llama) : order_(order), llama_(llama) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    double moment = 0;
    candidates.for_each(
        [&](TokenId, double logit) { moment += std::exp(order_ * (logit - log_sum_exp)); });
    const double log_threshold = std::log(moment) / (order_ - 1);
    const double tolerant =
        llama_ ? std::log(std::exp(log_threshold) - kLlamaTolerance) : log_threshold - kRounding;
    if (!std::isnan(tolerant)) candidates.keep_from(log_sum_exp + tolerant, 1);
  }

 private:
  double order_;
  bool llama_;
};

}  // namespace

StepEntry p_less_step() {
  return {StepStage::kTruncate, "p >= (sum p^k)^(1/(k-1)) (arXiv 2509.23234)", "order",
          [](ParamReader& params, const StepBuild& build) {
            const double order = params.number("order", 2, {.min = 1, .min_exclusive = true}, "",
                                               "k, the order of the moment");
            return std::make_unique<PLess>(order, build.dialect == Dialect::kLlama);
          },
          "llama lowers the threshold by 1e-5"};
}

}  // namespace surprisal
