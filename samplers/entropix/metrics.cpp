#include "samplers/entropix/metrics.h"

#include <numbers>

namespace surprisal {
namespace {

constexpr double kNatsPerBit = std::numbers::ln2;

double mean(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

EntropixMetrics entropix_metrics(const StepView& view) {
  if (view.padded_attention == nullptr)
    throw Error(ErrorCode::kUnsupported,
                "entropix reads the last layer's attention scores, and there are none here");
  const PaddedAttentionStatistics& attention = *view.padded_attention;
  const double entropy = mean(attention.entropy);
  double variance = 0;  // population variance over heads
  for (const float head : attention.entropy) variance += (head - entropy) * (head - entropy);
  variance /= static_cast<double>(attention.entropy.size());
  constexpr double kSquared = kNatsPerBit * kNatsPerBit;
  return {static_cast<float>(view.statistics->entropy / kNatsPerBit),
          static_cast<float>(view.statistics->varentropy / kSquared),
          static_cast<float>(entropy / kNatsPerBit),
          static_cast<float>(variance / kSquared),
          static_cast<float>(attention.mean_abs_deviation),
          static_cast<float>(mean(attention.mean_abs_score))};
}

void record_metrics(const EntropixMetrics& metrics, Decision& decision) {
  decision.decision_entropy = metrics.logits_entropy;
  decision.decision_varentropy = metrics.logits_varentropy;
  decision.metrics = {{"logits_entropy", metrics.logits_entropy},
                      {"logits_varentropy", metrics.logits_varentropy},
                      {"attn_entropy", metrics.attn_entropy},
                      {"attn_varentropy", metrics.attn_varentropy},
                      {"agreement", metrics.agreement},
                      {"interaction_strength", metrics.interaction_strength}};
}

}  // namespace surprisal
