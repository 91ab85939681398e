#pragma once

#include "samplers/sampler.h"

namespace surprisal {

/// What Entropix measures at each token, in its units and float32.
/// Source: xjdr-alt/entropix@e55e9a3 entropix/sampler.py calculate_metrics.
struct EntropixMetrics {
  float logits_entropy;        ///< bits
  float logits_varentropy;     ///< bits^2
  float attn_entropy;          ///< bits; mean over heads, empty cache slots included
  float attn_varentropy;       ///< bits^2; variance over heads of their entropies
  float agreement;             ///< mean |P - mean head|: larger means less agreement
  float interaction_strength;  ///< mean |raw score|
};

/// @throws Error(kUnsupported) when the view lacks the padded attention statistics
EntropixMetrics entropix_metrics(const StepView& view);

/// Enters the metrics into a decision under their original names.
void record_metrics(const EntropixMetrics& metrics, Decision& decision);

}  // namespace surprisal
