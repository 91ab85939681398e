#include "samplers/entropix/config.h"

#include <algorithm>
#include <cmath>

#include "samplers/margin.h"

namespace surprisal {
namespace {

float number(ParamReader& params, const char* name, double default_value, const char* unit,
             const char* description, Range range = {}) {
  return static_cast<float>(params.number(name, default_value, range, unit, description));
}

}  // namespace

EntropixConfig::EntropixConfig(ParamReader& p)
    : temp(number(p, "temp", 0.666, "", "base temperature", {.min = 0, .min_exclusive = true})),
      top_p(number(p, "top_p", 0.90, "", "base top_p", {.min = 0, .max = 1})),
      top_k(p.integer("top_k", 27, {.min = 1, .max = 1e6}, "tokens", "base top_k")),
      min_p(number(p, "min_p", 0.03, "", "base min_p, without effect until min_p_dead is fixed",
                   {.min = 0, .max = 1})),
      low_ent_thresh(number(p, "low_ent_thresh", 0.1, "bits", "entropy below it is low")),
      med_ent_thresh(number(p, "med_ent_thresh", 3.0, "bits", "entropy above it allows high/high")),
      high_ent_thresh(number(p, "high_ent_thresh", 5.0, "bits", "entropy above it is high")),
      low_vent_thresh(number(p, "low_vent_thresh", 0.1, "bits^2", "varentropy below it is low")),
      high_vent_thresh(number(p, "high_vent_thresh", 5.0, "bits^2", "varentropy above it is high")),
      helv_attn_ent_offset(number(p, "helv_attn_ent_offset", 1.3, "", "high/low: heat, constant")),
      helv_attn_ent_coef(
          number(p, "helv_attn_ent_coef", 0.2, "1/bit", "high/low: heat per attention entropy")),
      lehv_interaction_strength_offset(
          number(p, "lehv_interaction_strength_offset", 1.2, "", "low/high: heat, constant")),
      lehv_interaction_strength_coef(number(p, "lehv_interaction_strength_coef", 0.3, "",
                                            "low/high: heat per interaction strength")),
      hehv_attn_ent_coef(number(p, "hehv_attn_ent_coef", 0.2, "1/bit",
                                "high/high: top_p falls by this per attention entropy")),
      hehv_attn_vent_offset(
          number(p, "hehv_attn_vent_offset", 2.0, "", "high/high: heat, constant")),
      hehv_attn_vent_coef(number(p, "hehv_attn_vent_coef", 0.5, "1/bit^2",
                                 "high/high: heat per attention varentropy")),
      n_adaptive_samples(p.integer("n_adaptive_samples", 5, {.min = 1, .max = 1000}, "draws",
                                   "between: draws of which the most likely is kept")),
      ada_temp_logits(number(p, "ada_temp_logits", 0.3, "", "between: heat per H + V")),
      ada_temp_attn(number(p, "ada_temp_attn", 0.2, "", "between: heat per attention H + V")),
      ada_temp_agree(number(p, "ada_temp_agree", 0.2, "", "between: heat less per agreement")),
      ada_top_p(number(p, "ada_top_p", 0.1, "", "between: top_p per attention varentropy")),
      ada_top_k_int(
          p.number("ada_top_k_int", 0.3, {}, "", "between: top_k per interaction strength")),
      ada_top_k_agree(
          p.number("ada_top_k_agree", 0.2, {}, "", "between: top_k less per agreement")),
      ada_min_p(number(p, "ada_min_p", 0.5, "",
                       "between: min_p less per H + V, without effect until min_p_dead is fixed")),
      ada_score_logits_ent(number(p, "ada_score_logits_ent", 0.1, "", "score: 1 - H")),
      ada_score_attn_ent(number(p, "ada_score_attn_ent", 0.2, "", "score: 1 - attention H")),
      ada_score_logits_vent(number(p, "ada_score_logits_vent", 0.3, "", "score: 1 - V")),
      ada_score_attn_vent(number(p, "ada_score_attn_vent", 0.4, "", "score: 1 - attention V")),
      ada_score_agree(number(p, "ada_score_agree", 0.5, "", "score: agreement")),
      ada_score_int(number(p, "ada_score_int", 0.6, "", "score: interaction strength")) {}

RaceSettings EntropixConfig::adaptive_settings(const EntropixMetrics& m) const {
  const float temperature =
      temp * (1 + ada_temp_logits * (m.logits_entropy + m.logits_varentropy) +
              ada_temp_attn * (m.attn_entropy + m.attn_varentropy) - ada_temp_agree * m.agreement);
  const float top_p_adapted = std::clamp(top_p * (1 + ada_top_p * m.attn_varentropy), 0.1F, 1.0F);
  const double top_k_adapted =
      static_cast<double>(top_k) *
      (1 + ada_top_k_int * m.interaction_strength - ada_top_k_agree * m.agreement);
  const float rounded = std::nearbyint(static_cast<float>(top_k_adapted));
  const float uncertainty = m.logits_entropy + m.logits_varentropy;
  return {temperature, top_p_adapted, static_cast<int64_t>(std::clamp(rounded, 1.0F, 100.0F)),
          std::clamp(min_p * (1 - ada_min_p * uncertainty), 0.01F, 0.5F)};
}

float EntropixConfig::adaptive_confidence(const EntropixMetrics& m) const {
  return (1 - m.logits_entropy) * ada_score_logits_ent + (1 - m.attn_entropy) * ada_score_attn_ent +
         (1 - m.logits_varentropy) * ada_score_logits_vent +
         (1 - m.attn_varentropy) * ada_score_attn_vent + m.agreement * ada_score_agree +
         m.interaction_strength * ada_score_int;
}

double EntropixConfig::nearest_margin(const EntropixMetrics& m) const {
  return nearest_to_zero({m.logits_entropy - low_ent_thresh, m.logits_entropy - med_ent_thresh,
                          m.logits_entropy - high_ent_thresh, m.logits_varentropy - low_vent_thresh,
                          m.logits_varentropy - high_vent_thresh});
}

}  // namespace surprisal
