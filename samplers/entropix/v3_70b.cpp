#include "samplers/entropix/v3_70b.h"

#include <algorithm>
#include <cmath>

#include "samplers/entropix/variant.h"
#include "samplers/greedy.h"
#include "samplers/margin.h"

namespace surprisal {
namespace {

/// A metric's thresholds, as published; the medium ones are only read for the entropy.
struct Thresholds {
  Thresholds(ParamReader& p, const std::string& metric, const char* unit, double low_default,
             double high_default)
      : low(read(p, "low_" + metric + "_threshold", unit, low_default)),
        high(read(p, "high_" + metric + "_threshold", unit, high_default)) {}

  static float read(ParamReader& p, const std::string& name, const char* unit, double value) {
    return static_cast<float>(p.number(name, value, {}, unit, "bound of a named state"));
  }

  float low, high;
};

class EntropixV3 : public EntropixRaceSampler {
 public:
  EntropixV3(ParamReader& p, const SamplerContext& context)
      : EntropixRaceSampler(p, context, EntropixVariant::kV3_70b),
        temperature_(static_cast<float>(p.number(
            "temperature", 0.666, {.min = 0, .min_exclusive = true}, "", "base temperature"))),
        top_p_(static_cast<float>(p.number("top_p", 0.90, {.min = 0, .max = 1}, "", "base top_p"))),
        top_k_(p.integer("top_k", 27, {.min = 1, .max = 1e6}, "tokens", "base top_k")),
        min_probability_(
            static_cast<float>(p.number("min_probability", 0.03, {.min = 0, .max = 1}, "",
                                        "base min_p, without effect until min_p_dead is fixed"))),
        samples_(p.integer("number_of_adaptive_samples", 5, {.min = 1, .max = 1000}, "draws",
                           "between: draws of which the most likely is kept")),
        entropy_(p, "logits_entropy", "bits", 0.01, 2.1),
        medium_entropy_(Thresholds::read(p, "medium_logits_entropy_threshold", "bits", 0.7)),
        varentropy_(p, "logits_varentropy", "bits^2", 0.05, 5.8),
        attn_entropy_(p, "attention_entropy", "bits", 11.915, 11.926),
        attn_varentropy_(p, "attention_varentropy", "bits^2", 0.001, 0.009),
        agreement_(p, "agreement", "", 2e-6, 5e-6),
        strength_(p, "interaction_strength", "", 0.2, 0.264) {}

 private:
  Decision decide_by_state(const Moment& moment) const override {
    const EntropixMetrics& m = moment.metrics;
    const bool calm = m.attn_entropy < attn_entropy_.low && m.agreement < agreement_.low;
    const bool even =
        calm && m.attn_varentropy < attn_varentropy_.low && m.interaction_strength < strength_.low;
    if (m.logits_entropy < entropy_.low && m.logits_varentropy < varentropy_.low && even)
      return in_state(State::kLowLow, argmax_decision(moment.view));
    if (m.logits_entropy > entropy_.high && m.logits_varentropy < varentropy_.low && even)
      return in_state(State::kHighLow, high_low(moment));
    if (m.logits_entropy < entropy_.high && m.logits_varentropy > varentropy_.high && calm &&
        m.attn_varentropy > attn_varentropy_.high && m.interaction_strength > strength_.low) {
      const float heat = 1.2F + 0.3F * m.interaction_strength;
      const float top_k = static_cast<float>(top_k_) * (1 + 0.5F * (1 - m.agreement));
      return in_state(
          State::kLowHigh,
          sample(moment, {std::min(1.5F, temperature_ * heat), top_p_,
                          std::max<int64_t>(5, static_cast<int64_t>(top_k)), min_probability_}));
    }
    if (m.logits_entropy > medium_entropy_ && m.logits_varentropy > varentropy_.high &&
        m.attn_entropy > attn_entropy_.high && m.attn_varentropy > attn_varentropy_.high &&
        m.agreement > agreement_.high && m.interaction_strength > strength_.high) {
      const float heat = 2.0F + 0.5F * m.attn_varentropy;
      const float top_p = top_p_ - 0.2F * m.attn_entropy;
      return in_state(State::kHighHigh,
                      sample(moment, {std::max(2.0F, temperature_ * heat), std::max(0.5F, top_p),
                                      top_k_, min_probability_}));
    }
    return in_state(State::kBetween, adaptive(moment));
  }

  double nearest_margin(const EntropixMetrics& m) const override {
    return nearest_to_zero({m.logits_entropy - entropy_.low, m.logits_entropy - medium_entropy_,
                            m.logits_entropy - entropy_.high, m.logits_varentropy - varentropy_.low,
                            m.logits_varentropy - varentropy_.high});
  }

  Decision high_low(const Moment& moment) const {
    if (!fixed(Defect::kUndefinedHistory))
      throw Error(ErrorCode::kUnsupported,
                  "entropix v3_70b reads an undefined name in its high/low state and stops there, "
                  "as the original does; fixes: [undefined_history] lets it ask");
    if (!has_asked(moment.view))
      if (auto asked = clarify(moment.view)) return *asked;
    const float heat = 1.3F + 0.2F * moment.metrics.attn_entropy;
    return sample(moment, {std::min(1.5F, temperature_ * heat), top_p_, top_k_, min_probability_});
  }

  Decision adaptive(const Moment& moment) const {
    const EntropixMetrics& m = moment.metrics;
    const float temperature =
        temperature_ * (1 + 0.3F * m.logits_entropy + 0.2F * m.attn_entropy - 0.2F * m.agreement);
    const float top_p = std::clamp(top_p_ * (1 + 0.1F * m.attn_varentropy), 0.1F, 1.0F);
    const double wanted =
        static_cast<double>(top_k_) * (1 + 0.3 * m.interaction_strength - 0.2 * m.agreement);
    const float top_k = std::clamp(std::nearbyint(static_cast<float>(wanted)), 1.0F, 100.0F);
    const float min_p =
        std::clamp(min_probability_ * (1 - 0.5F * m.logits_varentropy), 0.01F, 0.5F);
    const float confidence = (1 - m.logits_entropy / entropy_.high) * 0.1F +
                             (1 - m.attn_entropy / attn_entropy_.high) * 0.2F +
                             (1 - m.logits_varentropy / varentropy_.high) * 0.3F +
                             (1 - m.attn_varentropy / attn_varentropy_.high) * 0.4F +
                             (m.agreement / agreement_.high) * 0.5F +
                             (m.interaction_strength / strength_.high) * 0.6F;
    return best_of(moment, {temperature, top_p, static_cast<int64_t>(top_k), min_p}, samples_,
                   confidence);
  }

  float temperature_, top_p_;
  int64_t top_k_;
  float min_probability_;
  int64_t samples_;
  Thresholds entropy_;
  float medium_entropy_;
  Thresholds varentropy_, attn_entropy_, attn_varentropy_, agreement_, strength_;
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_v3_70b(ParamReader& params, const SamplerContext& context) {
  return std::make_unique<EntropixV3>(params, context);
}

}  // namespace surprisal
