#pragma once

#include <cstdint>

#include "models/cpu/linear_kernels.h"

/// Products in bfloat16 by AVX-512's dot product instruction, which multiplies and adds two pairs
/// where float32 does one: LinearKernels' round() and run_rounded() on CpuPath::kAvx512Bf16. Only
/// to be called where the processor has it. Packed bfloat16 weights already lie as it reads them.
/// (Intel's processors, unlike AMD's, issue it at half the rate of float32's multiply-add; but
/// most that have it also have AMX, for which see amx_kernels.h.)
///
/// One accumulator for each output takes its pairs of inputs in order, so that a row's result has
/// the same bits in any batch. On a 2-core Zen 4 (29 GB/s and 234 GFLOP/s a core at best) SmolLM2's
/// matrices run at 30 GB/s with one row (in 12 bits at 33 of what they would be in 16), at 200
/// GFLOP/s with 16 and 215 with 64.
namespace surprisal::bfloat16 {

/// Two inputs to a float's 32 bits, the even one below; an odd last one is paired with zero.
void round(const RoundCall& call);

void run(const PackedShape& shape, const LinearCall& call);

/// y = sums (+ bias) (+ y) for the outputs of one panel and rows [first_row, first_row + rows).
/// @param sums  [rows][kPanel], 64-byte aligned
void store(const PackedShape& shape, const LinearCall& call, const float* sums, int64_t first_row,
           int64_t rows, int64_t panel);

}  // namespace surprisal::bfloat16
