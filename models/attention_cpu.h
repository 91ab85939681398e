#pragma once

#include "models/attention.h"

namespace surprisal {

/// attention_reference for the CPU, several times as fast: reads the cache's blocks
/// where they lie. Each query is worked on by itself, keys in order of position, so its bits do not
/// depend on the batch, on the length of the chunk, or on the number of threads.
/// @return [N, H, D]
at::Tensor attention_cpu(const AttentionInput& input, const AttentionRecord& record);

}  // namespace surprisal
