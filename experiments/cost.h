#pragma once

#include <cstdint>

#include "models/config.h"

namespace surprisal {

/// Floating-point operations (a multiply-add counts two) of feeding tokens at positions
/// [begin, end) of one sequence through the model, attention included, plus `logit_rows` rows of
/// the output head. From shapes alone: independent of batch, sharing and kernels.
double forward_flops(const ModelConfig& config, int64_t begin, int64_t end, int64_t logit_rows);

}  // namespace surprisal
