#pragma once

#include <cstdint>

namespace surprisal::simd {

/// Float loops of the CPU kernels, compiled for several instruction sets by Highway; the best one
/// the processor has is called. For one instruction set the order of summation is fixed.

/// Arrays that a comment calls padded are whole multiples of this many floats.
inline constexpr int64_t kPaddingUnit = 16;
/// Stands in a padded place of an array of scores: its exponential is 0.
inline constexpr float kPadding = -1e30f;

/// Scores of `group` queries against `count` keys: out[g * stride + j] = scale * q[g].k[j].
/// @param q  [group, dim];  @param k  [count, dim]
void dot_products(const float* q, int64_t group, const float* k, int64_t count, int64_t dim,
                  float scale, float* out, int64_t stride);

/// out[g] += sum over j of weight[g * stride + j] * v[j].
/// @param v  [count, dim];  @param out  [group, dim]
void accumulate(const float* weight, int64_t group, int64_t stride, const float* v, int64_t count,
                int64_t dim, float* out);

/// @param values  padded, count > 0
float maximum(const float* values, int64_t count);

struct Sums {
  float z = 0, a = 0, b = 0;
};
/// Replaces each value x by e = exp(x - shift), and sums e, e (x - shift) and e (x - shift)^2. NaN
/// stays NaN.
/// @param values  padded;  @param shift  >= every value
Sums exponentials(float* values, int64_t count, float shift);

/// Sum of |x|, of any count.
float sum_of_magnitudes(const float* values, int64_t count);

/// Sum over heads and columns of |p - mean over heads of p| with p = values[h * stride + j] *
/// scale[h].
/// @param values  padded rows: count and stride are multiples of kPaddingUnit
double total_deviation(const float* values, int64_t heads, int64_t stride, int64_t count,
                       const float* scale);

/// 16-bit numbers, given by their bits, as floats.
void widen_bfloat16(const uint16_t* from, int64_t count, float* to);
void widen_float16(const uint16_t* from, int64_t count, float* to);

}  // namespace surprisal::simd
