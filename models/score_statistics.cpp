#include "models/score_statistics.h"

#include <ATen/ATen.h>

#include <limits>

#include "lib/attention_statistics.h"

namespace surprisal {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

at::Tensor column(const at::Tensor& per_head, HeadStatistic statistic) {
  return per_head.select(-1, static_cast<int64_t>(statistic));
}

at::Tensor column(const at::Tensor& per_layer, LayerStatistic statistic) {
  return per_layer.select(-1, static_cast<int64_t>(statistic));
}

/// 1 - mean over heads of the total-variation distance to the mean head.
/// @param p  [H, Q, S];  @return [Q]
at::Tensor agreement(const at::Tensor& p) {
  const at::Tensor distance = (p - p.mean(0, true)).abs().sum(-1) * 0.5;  // [H, Q]
  return 1 - distance.mean(0);
}

}  // namespace

void write_score_statistics(const at::Tensor& scores, const at::Tensor& visible,
                            const at::Tensor& per_head, const at::Tensor& per_layer) {
  const at::Tensor hidden = visible.logical_not();                       // [Q, S]
  const at::Tensor masked = scores.masked_fill(hidden, kMinusInfinity);  // [H, Q, S]
  const at::Tensor top = masked.amax(-1, true);                          // [H, Q, 1]
  // Distances to the top, 0 where masked so that 0 * inf is never formed.
  const at::Tensor distance = (scores - top).masked_fill(hidden, 0);
  const at::Tensor weight = distance.exp().masked_fill(hidden, 0);
  const at::Tensor total = weight.sum(-1, true);  // Z
  const at::Tensor p = weight / total;
  const at::Tensor mean = (p * distance).sum(-1, true);  // A / Z
  const at::Tensor log_total = total.log();
  column(per_head, HeadStatistic::kEntropy).copy_((log_total - mean).squeeze(-1).t());
  column(per_head, HeadStatistic::kVarentropy).copy_((p * (distance - mean).square()).sum(-1).t());
  column(per_head, HeadStatistic::kMaxProbability).copy_((1 / total).squeeze(-1).t());
  column(per_head, HeadStatistic::kSinkMass).copy_(p.select(-1, 0).t());
  const at::Tensor count = visible.sum(-1);  // [Q]
  column(per_head, HeadStatistic::kMeanAbsScore)
      .copy_((scores.masked_fill(hidden, 0).abs().sum(-1) / count).t());
  column(per_head, HeadStatistic::kLogSumExp).copy_((top + log_total).squeeze(-1).t());

  const auto heads = static_cast<double>(scores.size(0));
  const at::Tensor agree = agreement(p);  // [Q]
  column(per_layer, LayerStatistic::kAgreement).copy_(agree);
  if (heads > 1)
    column(per_layer, LayerStatistic::kAgreementRescaled)
        .copy_((agree - 1 / heads) / (1 - 1 / heads));
  else
    column(per_layer, LayerStatistic::kAgreementRescaled).fill_(1);
  // Without the first token: the softmax over the others alone, which cannot underflow to 0/0. A
  // query that sees only the first token has nothing to disagree on.
  at::Tensor without_first = at::ones_like(agree);
  if (scores.size(-1) > 1) {
    const at::Tensor none = hidden.slice(-1, 1).all(-1);  // [Q]
    const at::Tensor others = masked.slice(-1, 1).softmax(-1);
    without_first = at::where(none, without_first, agreement(others));
  }
  column(per_layer, LayerStatistic::kAgreementWithoutFirst).copy_(without_first);
}

void write_padded_statistics(const at::Tensor& scores, const at::Tensor& visible, int64_t slots,
                             const at::Tensor& head, const at::Tensor& mean_deviation) {
  const at::Tensor hidden = visible.logical_not();
  const at::Tensor empty = (slots - visible.sum(-1)).clamp_min(0).to(at::kFloat);  // [Q]
  const at::Tensor padded = empty > 0;
  // Every empty slot has score 0: together they enter as one term of weight `empty`.
  at::Tensor top = scores.masked_fill(hidden, kMinusInfinity).amax(-1);  // [H, Q]
  top = at::where(padded, top.clamp_min(0), top);
  const at::Tensor distance = (scores - top.unsqueeze(-1)).masked_fill(hidden, 0);
  const at::Tensor weight = distance.exp().masked_fill(hidden, 0);
  const at::Tensor empty_weight = (-top).exp() * padded;  // [H, Q] of one empty slot
  const at::Tensor total = weight.sum(-1) + empty_weight * empty;
  const at::Tensor first_moment = (weight * distance).sum(-1) - empty_weight * empty * top;
  head.select(-1, 0).copy_((total.log() - first_moment / total).t());
  const auto all_slots = static_cast<double>(slots);
  head.select(-1, 1).copy_(scores.masked_fill(hidden, 0).abs().sum(-1).t() / all_slots);

  const at::Tensor p = weight / total.unsqueeze(-1);  // [H, Q, S]
  const at::Tensor empty_p = empty_weight / total;    // [H, Q]
  const at::Tensor deviation = (p - p.mean(0, true)).abs().sum(-1) +
                               (empty_p - empty_p.mean(0, true)).abs() * empty;  // [H, Q]
  mean_deviation.copy_(deviation.mean(0) / all_slots);
}

}  // namespace surprisal
