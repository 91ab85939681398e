#include "samplers/steps/temperature.h"

namespace surprisal {
namespace {

constexpr double kVllmGreedy = 1e-5;

class Temperature : public ChainStep {
 public:
  Temperature(double temperature, double greedy_below)
      : temperature_(temperature), greedy_below_(greedy_below) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (temperature_ > greedy_below_)
      candidates.heat(temperature_);
    else
      candidates.keep_top(1);
  }

 private:
  double temperature_, greedy_below_;
};

}  // namespace

StepEntry temperature_step() {
  return {StepStage::kReshape, "l / T", "temp",
          [](ParamReader& params, const StepBuild& build) {
            Range range{};
            if (build.dialect == Dialect::kHf) range = {.min = 0, .min_exclusive = true};
            if (build.dialect == Dialect::kVllm) range = {.min = 0};
            const double temperature =
                params.number("temp", 0.8, range, "",
                              "T; llama: 0 or less means greedy; vllm: below 1e-5 does; hf: > 0");
            return std::make_unique<Temperature>(temperature,
                                                 build.dialect == Dialect::kVllm ? kVllmGreedy : 0);
          },
          "hf refuses T <= 0; llama: T <= 0, vllm: T < 1e-5 leaves the most likely"};
}

}  // namespace surprisal
