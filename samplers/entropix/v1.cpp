#include "samplers/entropix/v1.h"

#include <algorithm>

#include "samplers/entropix/variant.h"
#include "samplers/greedy.h"
#include "samplers/margin.h"

namespace surprisal {
namespace {

constexpr double kTemperature = 0.666;
constexpr float kTopP = 0.90F;
constexpr int64_t kTopK = 27;
constexpr float kLow = 0.1F, kHigh = 5.0F;  // bits, and bits^2

class EntropixV1 : public EntropixRaceSampler {
 public:
  EntropixV1(ParamReader& params, const SamplerContext& context)
      : EntropixRaceSampler(params, context, EntropixVariant::kV1) {}

 private:
  Decision decide_by_state(const Moment& moment) const override {
    const float h = moment.metrics.logits_entropy, v = moment.metrics.logits_varentropy;
    if (h < kLow && v < kLow) return in_state(State::kLowLow, argmax_decision(moment.view));
    if (h > kHigh && v < kLow) {
      std::optional<Decision> asked;
      if (!has_asked(moment.view)) asked = clarify(moment.view);
      return in_state(State::kHighLow,
                      asked ? *asked : heated(moment, std::min(1.3, kTemperature * 1.5)));
    }
    if (h < kHigh && v > kHigh)
      return in_state(State::kLowHigh, heated(moment, std::min(1.2, kTemperature * 1.5)));
    if (h > kHigh && v > kHigh)
      return in_state(State::kHighHigh, heated(moment, std::max(2.0, kTemperature * 3)));
    const float t = std::clamp((h + v) / 10.0F, 0.5F, 2.0F);
    return in_state(State::kBetween,
                    heated(moment, static_cast<double>(t * static_cast<float>(kTemperature))));
  }

  double nearest_margin(const EntropixMetrics& m) const override {
    return nearest_to_zero({m.logits_entropy - kLow, m.logits_entropy - kHigh,
                            m.logits_varentropy - kLow, m.logits_varentropy - kHigh});
  }

  Decision heated(const Moment& moment, double temperature) const {
    return sample(moment, {static_cast<float>(temperature), kTopP, kTopK, 0});
  }
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_v1(ParamReader& params, const SamplerContext& context) {
  return std::make_unique<EntropixV1>(params, context);
}

}  // namespace surprisal
