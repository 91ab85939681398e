#pragma once

#include <cstdint>
#include <string>

#include "samplers/entropix/metrics.h"
#include "samplers/entropix/race.h"
#include "samplers/sampler.h"

namespace surprisal {

/// The parameters of v2_jax and v2_torch under their original names and with their
/// original defaults, in float32 as they were used; entropies in bits.
/// Source: xjdr-alt/entropix@e55e9a3 entropix/sampler.py SamplerConfig.
struct EntropixConfig {
  /// @throws Error(kConfig)
  explicit EntropixConfig(ParamReader& params);

  float temp, top_p;
  int64_t top_k;
  float min_p;
  float low_ent_thresh, med_ent_thresh, high_ent_thresh, low_vent_thresh, high_vent_thresh;
  float helv_attn_ent_offset, helv_attn_ent_coef;
  float lehv_interaction_strength_offset, lehv_interaction_strength_coef;
  float hehv_attn_ent_coef, hehv_attn_vent_offset, hehv_attn_vent_coef;
  int64_t n_adaptive_samples;
  float ada_temp_logits, ada_temp_attn, ada_temp_agree, ada_top_p;
  double ada_top_k_int, ada_top_k_agree;  ///< used outside of JAX, in double
  float ada_min_p;
  float ada_score_logits_ent, ada_score_attn_ent, ada_score_logits_vent, ada_score_attn_vent;
  float ada_score_agree, ada_score_int;

  /// Temperature, top_p, top_k and min_p of the adaptive state.
  RaceSettings adaptive_settings(const EntropixMetrics& metrics) const;
  /// What the adaptive state's score adds to ln p of a token.
  float adaptive_confidence(const EntropixMetrics& metrics) const;
  /// Signed distance to the nearest of the five thresholds, in bits or bits^2.
  double nearest_margin(const EntropixMetrics& metrics) const;
};

}  // namespace surprisal
