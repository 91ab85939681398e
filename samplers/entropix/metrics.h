#pragma once

#include "samplers/entropix/defects.h"
#include "samplers/sampler.h"

namespace surprisal {

/// What Entropix measures at each token, in its units and float32.
/// Source: xjdr-alt/entropix@e55e9a3 entropix/sampler.py calculate_metrics.
struct EntropixMetrics {
  float logits_entropy;     ///< bits
  float logits_varentropy;  ///< bits^2
  float attn_entropy;       ///< bits; mean over heads, empty cache slots included
  float attn_varentropy;    ///< bits^2; variance over heads of their entropies
  /// Mean |P - mean head|: larger means less agreement. Fixed: in [0, 1], larger means more.
  float agreement;
  float interaction_strength;  ///< mean |raw score|
};

/// How a variant measures.
struct MetricSettings {
  int64_t cache_slots = 4096;     ///< length of the cache whose empty slots enter
  bool no_head_variance = false;  ///< v2_torch's variance of a single value, which is 0
  bool bf16 = false;              ///< entropy and varentropy are bfloat16
  Fixes fixes = {};

  Needs needs() const;
};

/// Rounded to bfloat16, to the even one of two neighbours.
float to_bf16(float value);

/// Entropy (bits) and varentropy (bits^2) of the row, the rest 0: what v1 knows.
EntropixMetrics logits_metrics(const StepView& view, const MetricSettings& settings);

/// @throws Error(kUnsupported) when the view lacks the attention statistics
EntropixMetrics entropix_metrics(const StepView& view, const MetricSettings& settings);

/// Enters the metrics into a decision under their original names.
void record_metrics(const EntropixMetrics& metrics, Decision& decision);

}  // namespace surprisal
