#include "samplers/steps/dynamic_temperature.h"

#include <algorithm>
#include <cmath>

namespace surprisal {
namespace {

constexpr double kGreedy = 1e-8;  // temperatures below it cannot be told from 0

void heat_or_pick(Candidates& candidates, double temperature) {
  if (temperature > kGreedy)
    candidates.heat(temperature);
  else
    candidates.keep_top(1);
}

class DynaTemp : public ChainStep {
 public:
  DynaTemp(double temp, double range, double exponent)
      : lowest_(std::max(0.0, temp - range)),
        width_(range > 0 ? temp + range - lowest_ : 0),
        temp_(temp),
        exponent_(exponent) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (width_ == 0) return heat_or_pick(candidates, temp_);
    if (candidates.size() < 2) return;
    const double largest = std::log(static_cast<double>(candidates.size()));
    const double relative = std::min(1.0, candidates.statistics().entropy / largest);
    heat_or_pick(candidates, lowest_ + width_ * std::pow(relative, exponent_));
  }

 private:
  double lowest_, width_, temp_, exponent_;
};

class Edt : public ChainStep {
 public:
  Edt(double t0, double theta, double base) : t0_(t0), theta_(theta), log_base_(std::log(base)) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const double entropy = candidates.statistics().entropy;
    const double exponent = theta_ == 0 ? 0 : log_base_ * theta_ / entropy;  // -inf for H = 0
    heat_or_pick(candidates, t0_ * std::exp(exponent));
  }

 private:
  double t0_, theta_, log_base_;
};

}  // namespace

StepEntry dynatemp_step() {
  return {StepStage::kReshape,
          "T = T_min + (T_max - T_min) (H / ln n)^exponent, T_min/max = temp -/+ range (llama.cpp)",
          "", [](ParamReader& params, const StepBuild&) {
            const double temp = params.number("temp", 0.8, {.min = 0}, "", "middle of the range");
            const double range =
                params.number("range", 0, {.min = 0}, "", "half its width; 0: always temp");
            const double exponent =
                params.number("exponent", 1, {.min = 0}, "", "shape of the curve");
            return std::make_unique<DynaTemp>(temp, range, exponent);
          }};
}

StepEntry edt_step() {
  return {StepStage::kReshape, "T = T0 N^(theta / H) (arXiv 2403.14541)", "theta",
          [](ParamReader& params, const StepBuild&) {
            const Range positive{.min = 0, .min_exclusive = true};
            const double t0 = params.number("T0", 1, positive, "", "temperature for large entropy");
            const double theta = params.number("theta", 0.1, {.min = 0}, "nats",
                                               "how fast small entropies cool; 0: always T0");
            const double base = params.number("N", 0.8, {.min = 0, .max = 1, .min_exclusive = true},
                                              "", "base of the power");
            return std::make_unique<Edt>(t0, theta, base);
          }};
}

}  // namespace surprisal
