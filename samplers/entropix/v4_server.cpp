#include "samplers/entropix/v4_server.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "samplers/entropix/variant.h"
#include "samplers/greedy.h"
#include "samplers/margin.h"

namespace surprisal {
namespace {

constexpr size_t kRaceEntries = 256;  // MAX_K

class EntropixV4 : public EntropixRaceSampler {
 public:
  EntropixV4(ParamReader& p, const SamplerContext& context)
      : EntropixRaceSampler(p, context, EntropixVariant::kV4Server),
        temperature_(number(p, "temperature", 0.8, "", "base temperature",
                            {.min = 0, .min_exclusive = true})),
        top_p_(number(p, "top_p", 0.9, "", "base top_p", {.min = 0, .max = 1})),
        top_k_(p.integer("top_k", 40, {.min = 1, .max = kRaceEntries}, "tokens", "top_k")),
        min_probability_(number(p, "min_probability", 0.05, "",
                                "base min_p, without effect until min_p_dead is fixed",
                                {.min = 0, .max = 1})),
        samples_(p.integer("number_of_adaptive_samples", 5, {.min = 1, .max = 1000}, "draws",
                           "between: draws of which the most likely is kept")),
        low_entropy_(threshold(p, "low_logits_entropy_threshold", 0.8, "bits")),
        medium_entropy_(threshold(p, "medium_logits_entropy_threshold", 1.7, "bits")),
        high_entropy_(threshold(p, "high_logits_entropy_threshold", 2.5, "bits")),
        low_varentropy_(threshold(p, "low_logits_varentropy_threshold", 0.4, "bits^2")),
        high_varentropy_(threshold(p, "high_logits_varentropy_threshold", 1.2, "bits^2")),
        low_attn_entropy_(threshold(p, "low_attention_entropy_threshold", 1.0, "bits")),
        high_attn_entropy_(threshold(p, "high_attention_entropy_threshold", 2.0, "bits")),
        low_attn_varentropy_(threshold(p, "low_attention_varentropy_threshold", 0.3, "bits^2")),
        high_attn_varentropy_(threshold(p, "high_attention_varentropy_threshold", 0.8, "bits^2")) {
    rules_.entries = kRaceEntries;
    rules_.equals_upwards = true;  // sort_key_val is stable
  }

 private:
  static float number(ParamReader& p, const char* name, double value, const char* unit,
                      const char* description, Range range) {
    return static_cast<float>(p.number(name, value, range, unit, description));
  }
  static float threshold(ParamReader& p, const char* name, double value, const char* unit) {
    return number(p, name, value, unit, "bound of a named state", {});
  }

  Decision decide_by_state(const Moment& moment) const override {
    const EntropixMetrics& m = moment.metrics;
    const bool calm =
        m.attn_entropy < low_attn_entropy_ && m.attn_varentropy < low_attn_varentropy_;
    if (m.logits_entropy < low_entropy_ && m.logits_varentropy < low_varentropy_ && calm)
      return in_state(State::kLowLow, argmax_decision(moment.view));
    if (m.logits_entropy > high_entropy_ && m.logits_varentropy < low_varentropy_ && calm)
      return in_state(State::kHighLow, high_low(moment));
    if (m.logits_entropy < high_entropy_ && m.logits_varentropy > high_varentropy_ &&
        m.attn_entropy < low_attn_entropy_ && m.attn_varentropy > high_attn_varentropy_)
      return in_state(State::kLowHigh,
                      sample(moment, {temperature_, top_p_, top_k_, min_probability_}));
    if (m.logits_entropy > medium_entropy_ && m.logits_varentropy > high_varentropy_ &&
        m.attn_entropy > high_attn_entropy_ && m.attn_varentropy > high_attn_varentropy_) {
      const float heat = 0.3F + 0.25F * m.attn_varentropy;
      const float top_p = top_p_ - 0.3F * m.attn_entropy;
      return in_state(State::kHighHigh,
                      sample(moment, {std::min(2.0F, temperature_ * heat), std::max(0.5F, top_p),
                                      top_k_, min_probability_}));
    }
    return in_state(State::kBetween, adaptive(moment));
  }

  double nearest_margin(const EntropixMetrics& m) const override {
    return nearest_to_zero({m.logits_entropy - low_entropy_, m.logits_entropy - medium_entropy_,
                            m.logits_entropy - high_entropy_, m.logits_varentropy - low_varentropy_,
                            m.logits_varentropy - high_varentropy_});
  }

  /// Its fixed form samples after a question as the commented lines of the original would.
  Decision high_low(const Moment& moment) const {
    if (!fixed(Defect::kUnconditional2564) || !has_asked(moment.view))
      if (auto asked = clarify(moment.view)) return *asked;
    const float heat = 0.2F + 0.3F * moment.metrics.attn_entropy;
    return sample(moment, {std::min(1.5F, temperature_ * heat), top_p_, top_k_, min_probability_});
  }

  Decision adaptive(const Moment& moment) const {
    const EntropixMetrics& m = moment.metrics;
    const float cross_entropy = m.logits_entropy * std::numbers::ln2_v<float>;
    const float target = 1.2F * cross_entropy + 2.0F;
    const float temperature =
        std::clamp(temperature_ * std::sqrt(target / (cross_entropy + 1e-6F)), 0.1F, 2.0F);
    const float min_p =
        std::clamp(min_probability_ * (1 - 0.2F * m.logits_varentropy), 0.01F, 0.5F);
    const float confidence = (1 - m.logits_entropy / high_entropy_) * 1.0F +
                             (1 - m.attn_entropy / high_attn_entropy_) * 0.8F +
                             (1 - m.logits_varentropy / high_varentropy_) * 0.6F +
                             (1 - m.attn_varentropy / high_attn_varentropy_) * 0.4F;
    return best_of(moment, {temperature, top_p_, top_k_, min_p}, samples_, confidence);
  }

  float temperature_, top_p_;
  int64_t top_k_;
  float min_probability_;
  int64_t samples_;
  float low_entropy_, medium_entropy_, high_entropy_, low_varentropy_, high_varentropy_;
  float low_attn_entropy_, high_attn_entropy_, low_attn_varentropy_, high_attn_varentropy_;
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_v4_server(ParamReader& params,
                                                 const SamplerContext& context) {
  return std::make_unique<EntropixV4>(params, context);
}

}  // namespace surprisal
