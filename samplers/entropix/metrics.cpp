#include "samplers/entropix/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace surprisal {
namespace {

constexpr double kNatsPerBit = std::numbers::ln2;

/// One head's attention over the keys it can see.
struct Head {
  double entropy, varentropy;  ///< nats, nats^2
  double log_sum_exp;          ///< of the raw scores
};

/// Varentropy of the softmax over the same scores and `empty` more that are 0: with a the mass that
/// the visible keys keep, surprisals rise by -ln a there and are ln Z' elsewhere.
double padded_varentropy(const Head& head, double empty) {
  const double all = head.log_sum_exp + std::log1p(empty * std::exp(-head.log_sum_exp));  // ln Z'
  const double log_a = head.log_sum_exp - all, a = std::exp(log_a);
  const double visible = head.entropy - log_a;
  const double mean = a * visible + (1 - a) * all;
  const double square = a * (head.varentropy + visible * visible) + (1 - a) * all * all;
  return std::max(0.0, square - mean * mean);
}

}  // namespace

float to_bf16(float value) {
  if (!std::isfinite(value)) return value;
  const auto bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000U);
}

Needs MetricSettings::needs() const {
  const bool visible = fixes.has(Defect::kPaddedAttention);
  return {.attention = visible || fixes.has(Defect::kHeadVarianceAsVarentropy),
          .padded_slots = visible ? 0 : cache_slots};
}

EntropixMetrics logits_metrics(const StepView& view, const MetricSettings& settings) {
  const double entropy = view.statistics->entropy / kNatsPerBit;
  const double varentropy = view.statistics->varentropy / (kNatsPerBit * kNatsPerBit);
  const auto rounded = [&](double value) {
    return settings.bf16 ? to_bf16(static_cast<float>(value)) : static_cast<float>(value);
  };
  return {rounded(entropy), rounded(varentropy), 0, 0, 0, 0};
}

EntropixMetrics entropix_metrics(const StepView& view, const MetricSettings& settings) {
  const Needs needs = settings.needs();
  if ((needs.attention && view.attention == nullptr) ||
      (needs.padded_slots > 0 && view.padded_attention == nullptr))
    throw Error(ErrorCode::kUnsupported,
                "entropix reads the last layer's attention scores, and there are none here");
  const bool padded = !settings.fixes.has(Defect::kPaddedAttention);
  const auto last = [&](int64_t head, HeadStatistic what) {
    return static_cast<double>(view.attention->head(view.attention->layers - 1, head, what));
  };
  const int64_t heads =
      padded ? static_cast<int64_t>(view.padded_attention->entropy.size()) : view.attention->heads;
  const auto count = static_cast<double>(heads);
  const int64_t cache = padded ? view.padded_attention->slots : 0;

  std::vector<double> entropies;
  double entropy = 0, strength = 0, variance = 0;
  for (int64_t h = 0; h < heads; ++h) {
    const auto i = static_cast<size_t>(h);
    entropies.push_back(padded ? static_cast<double>(view.padded_attention->entropy[i])
                               : last(h, HeadStatistic::kEntropy));
    entropy += entropies.back() / count;
    strength += (padded ? static_cast<double>(view.padded_attention->mean_abs_score[i])
                        : last(h, HeadStatistic::kMeanAbsScore)) /
                count;
  }
  if (settings.fixes.has(Defect::kHeadVarianceAsVarentropy)) {
    for (int64_t h = 0; h < heads; ++h) {
      const Head head = {last(h, HeadStatistic::kEntropy), last(h, HeadStatistic::kVarentropy),
                         last(h, HeadStatistic::kLogSumExp)};
      const auto empty = static_cast<double>(cache - view.attention->valid_length);
      variance +=
          (padded ? padded_varentropy(head, std::max(0.0, empty)) : head.varentropy) / count;
    }
  } else if (!settings.no_head_variance) {  // population variance
    for (const double head : entropies) variance += (head - entropy) * (head - entropy) / count;
  }
  const auto slots = static_cast<double>(padded ? cache : view.attention->valid_length);
  // Mean over heads of the total variation to the mean head.
  const double distance = padded ? view.padded_attention->mean_abs_deviation * slots / 2
                                 : 1 - static_cast<double>(view.attention->layer(
                                           view.attention->layers - 1, LayerStatistic::kAgreement));
  const double agreement = settings.fixes.has(Defect::kAgreementScale) ? 1 - distance
                           : padded ? view.padded_attention->mean_abs_deviation
                                    : 2 * distance / slots;
  EntropixMetrics metrics = logits_metrics(view, settings);
  metrics.attn_entropy = static_cast<float>(entropy / kNatsPerBit);
  metrics.attn_varentropy = static_cast<float>(variance / (kNatsPerBit * kNatsPerBit));
  metrics.agreement = static_cast<float>(agreement);
  metrics.interaction_strength = static_cast<float>(strength);
  return metrics;
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
