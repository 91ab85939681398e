#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace surprisal {

/// Statistics of attention distributions from raw scores, by the formulas of
/// lib/attention_statistics.h, as ATen operations.
/// @param scores     [H, Q, S] float32
/// @param visible    [Q, S] bool: the keys each query sees (at least one)
/// @param per_head   out, [Q, H, kHeadStatistics] float32
/// @param per_layer  out, [Q, kLayerStatistics] float32
void write_score_statistics(const at::Tensor& scores, const at::Tensor& visible,
                            const at::Tensor& per_head, const at::Tensor& per_layer);

/// The same as if each query's keys were followed by zero scores up to `slots` in all
/// (PaddedAttentionStatistics); a query that sees more keys than that gets no padding.
/// @param head            out, [Q, H, 2] float32: entropy (nats), sum |score| / slots
/// @param mean_deviation  out, [Q] float32: mean over heads and slots of |P - mean over heads of P|
void write_padded_statistics(const at::Tensor& scores, const at::Tensor& visible, int64_t slots,
                             const at::Tensor& head, const at::Tensor& mean_deviation);

}  // namespace surprisal
