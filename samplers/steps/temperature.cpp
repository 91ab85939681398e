#include "samplers/steps/temperature.h"

namespace surprisal {
namespace {

class Temperature : public ChainStep {
 public:
  explicit Temperature(double temperature) : temperature_(temperature) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (temperature_ > 0)
      candidates.heat(temperature_);
    else
      candidates.keep_top(1);
  }

 private:
  double temperature_;
};

}  // namespace

StepEntry temperature_step() {
  return {StepStage::kReshape, "divides every logit by T", "temp",
          [](ParamReader& params, const StepBuild& build) {
            const Range range =
                build.dialect == Dialect::kHf ? Range{.min = 0, .min_exclusive = true} : Range{};
            return std::make_unique<Temperature>(params.number(
                "temp", 0.8, range, "", "T; in dialect llama, 0 or less means greedy"));
          }};
}

}  // namespace surprisal
