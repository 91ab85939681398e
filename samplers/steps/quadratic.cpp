#include "samplers/steps/quadratic.h"

namespace surprisal {
namespace {

class Quadratic : public ChainStep {
 public:
  Quadratic(double factor, double curve)
      : square_((3 - curve) / 2 * factor), cube_((curve - 1) / 2 * factor) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (square_ == 0 && cube_ == 0) return;
    const double largest = candidates.max_logit();
    candidates.transform([&](TokenId, double logit) {
      const double d = logit - largest;
      return largest - square_ * d * d + cube_ * d * d * d;
    });
  }

 private:
  double square_, cube_;
};

}  // namespace

StepEntry quadratic_step() {
  return {StepStage::kReshape,
          "l' = l_max - k S d^2 + s S d^3, d = l - l_max (text-generation-webui)",
          "smoothing_factor", [](ParamReader& params, const StepBuild&) {
            const double factor =
                params.number("smoothing_factor", 0, {.min = 0}, "1/logit", "S; 0 is off");
            const double curve =
                params.number("smoothing_curve", 1, {.min = 0}, "", "c; 1 is purely quadratic");
            return std::make_unique<Quadratic>(factor, curve);
          }};
}

}  // namespace surprisal
