#include "samplers/steps/adaptive_p.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

namespace surprisal {
namespace {

constexpr double kPeak = 5, kSharpness = 10, kWidth = 0.3;

struct AdaptiveState : SamplerState {
  std::unique_ptr<SamplerState> clone() const override {
    return std::make_unique<AdaptiveState>(*this);
  }
  double weighted_sum = 0, total_weight = 0;
  std::vector<double> probability;  ///< [V] of the pending choice, before the step
};

class AdaptiveP : public ChainStep {
 public:
  AdaptiveP(double target, double decay, double ema) : target_(target), decay_(decay), ema_(ema) {}

  std::unique_ptr<SamplerState> start() const override {
    auto state = std::make_unique<AdaptiveState>();
    state->total_weight = 1 / (1 - decay_);
    state->weighted_sum = ema_ * state->total_weight;
    return state;
  }

  void apply(Candidates& candidates, const StepContext& context,
             SamplerState* state) const override {
    if (target_ < 0) return;
    auto& own = static_cast<AdaptiveState&>(*state);
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    const double aim = std::clamp(2 * target_ - own.weighted_sum / own.total_weight, 0.0, 1.0);
    own.probability.assign(context.view.logits.size(), 0);
    candidates.transform([&](TokenId token, double logit) {
      const double p = std::exp(logit - log_sum_exp);
      own.probability[static_cast<size_t>(token)] = p;
      const double d = std::abs(p - aim) / kWidth;
      return kPeak - kSharpness * d * d / (1 + d);
    });
  }

  void chosen(TokenId token, Decision& decision, SamplerState* state) const override {
    if (target_ < 0) return;
    auto& own = static_cast<AdaptiveState&>(*state);
    const double p = own.probability[static_cast<size_t>(token)];
    own.weighted_sum = p + decay_ * own.weighted_sum;
    own.total_weight = 1 + decay_ * own.total_weight;
    own.probability.clear();
    decision.metrics.emplace_back("adaptive_p_ema", own.weighted_sum / own.total_weight);
  }

 private:
  double target_, decay_, ema_;
};

}  // namespace

StepEntry adaptive_p_step() {
  return {StepStage::kSelect,
          "l = 5 - 10 d^2 / (1 + d), d = |p - (2 target - mean p chosen)| / 0.3 (llama.cpp)",
          "target", [](ParamReader& params, const StepBuild&) {
            const double target = params.number("target", -1, {.max = 1}, "probability",
                                                "probability aimed at; negative is off");
            const double decay = params.number("decay", 0.9, {.min = 0, .max = 0.99}, "",
                                               "of the moving average, per token");
            const std::optional<double> ema =
                params.optional_number("ema", {.min = 0, .max = 1}, "probability",
                                       "where the moving average starts; absent: at the target");
            return std::make_unique<AdaptiveP>(target, decay, ema.value_or(target));
          }};
}

}  // namespace surprisal
