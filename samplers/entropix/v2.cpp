#include "samplers/entropix/v2.h"

#include <algorithm>
#include <cmath>

#include "samplers/entropix/config.h"
#include "samplers/entropix/variant.h"
#include "samplers/greedy.h"

namespace surprisal {
namespace {

class EntropixV2 : public EntropixRaceSampler {
 public:
  EntropixV2(ParamReader& params, const SamplerContext& context, EntropixVariant variant)
      : EntropixRaceSampler(params, context, variant),
        c_(params),
        is_torch_(variant == EntropixVariant::kV2Torch) {}

 private:
  Decision decide_by_state(const Moment& moment) const override {
    const EntropixMetrics& m = moment.metrics;
    const float entropy = m.logits_entropy, varentropy = m.logits_varentropy;
    const float high_low_above = is_torch_ ? c_.med_ent_thresh : c_.high_ent_thresh;
    const float high_high_above = is_torch_ ? c_.high_ent_thresh : c_.med_ent_thresh;
    if (entropy < c_.low_ent_thresh && varentropy < c_.low_vent_thresh)
      return in_state(State::kLowLow, argmax_decision(moment.view));
    if (entropy > high_low_above && varentropy < c_.low_vent_thresh)
      return in_state(State::kHighLow, high_low(moment));
    if (entropy < c_.high_ent_thresh && varentropy > c_.high_vent_thresh)
      return in_state(State::kLowHigh, low_high(moment));
    if (entropy > high_high_above && varentropy > c_.high_vent_thresh)
      return in_state(State::kHighHigh, high_high(moment));
    return in_state(State::kBetween, best_of(moment, c_.adaptive_settings(m), c_.n_adaptive_samples,
                                             c_.adaptive_confidence(m)));
  }

  double nearest_margin(const EntropixMetrics& metrics) const override {
    return c_.nearest_margin(metrics);
  }

  Decision high_low(const Moment& moment) const {
    if (!has_asked(moment.view))
      if (auto asked = clarify(moment.view)) return *asked;
    const float heat =
        c_.helv_attn_ent_offset + c_.helv_attn_ent_coef * moment.metrics.attn_entropy;
    return sample(moment, {std::min(1.5F, c_.temp * heat), c_.top_p, c_.top_k, min_p()});
  }

  Decision low_high(const Moment& moment) const {
    const float heat = c_.lehv_interaction_strength_offset +
                       c_.lehv_interaction_strength_coef * moment.metrics.interaction_strength;
    const float top_k = static_cast<float>(c_.top_k) * (1 + 0.5F * (1 - moment.metrics.agreement));
    return sample(moment, {std::min(1.5F, c_.temp * heat), c_.top_p,
                           std::max<int64_t>(5, static_cast<int64_t>(top_k)), min_p()});
  }

  Decision high_high(const Moment& moment) const {
    const EntropixMetrics& m = moment.metrics;
    const float heat = c_.hehv_attn_vent_offset + c_.hehv_attn_vent_coef * m.attn_varentropy;
    const float top_p = c_.top_p - c_.hehv_attn_ent_coef * m.attn_entropy;
    return sample(moment,
                  {std::max(2.0F, c_.temp * heat), std::max(0.5F, top_p), c_.top_k, min_p()});
  }

  /// v2_torch has one in its adaptive state only.
  float min_p() const { return is_torch_ ? 0 : c_.min_p; }

  EntropixConfig c_;
  bool is_torch_;
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_v2_jax(ParamReader& params, const SamplerContext& context) {
  return std::make_unique<EntropixV2>(params, context, EntropixVariant::kV2Jax);
}

std::unique_ptr<Sampler> make_entropix_v2_torch(ParamReader& params,
                                                const SamplerContext& context) {
  return std::make_unique<EntropixV2>(params, context, EntropixVariant::kV2Torch);
}

}  // namespace surprisal
