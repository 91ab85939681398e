#include "models/cpu/merge_kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "models/cpu/merge_kernels.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
// The first of these compiles this file anew for each target.
// clang-format off
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::CappedTag<double, 8>;
using Vector = hn::Vec<Doubles>;
using Mask = hn::Mask<Doubles>;
constexpr int64_t kHeads = HWY_LANES(double);
static_assert(MergeCall::kMostHeads % kHeads == 0);

HWY_INLINE Vector zero() {
  return hn::Zero(Doubles());
}
// e^x of x <= 0. Highway's makes 0 of NaN.
HWY_INLINE Vector exponential(Vector x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(Doubles(), x));
}

// A set of scores of each head.
struct Scores {
  Vector m, z, a, b;

  Mask none() const { return hn::Eq(z, zero()); }
  // e^(m - shift), what a score at m is among others; 0 for a set of none.
  Vector top(Vector shift) const {
    return hn::IfThenZeroElse(none(), exponential(hn::Sub(m, shift)));
  }
  // Another set's sums, about `shift` instead of the other's m: `top` is the other's.
  void add(const Scores& other, Vector shift, Vector top) {
    const Vector delta = hn::IfThenZeroElse(other.none(), hn::Sub(other.m, shift));
    const Vector once = hn::MulAdd(delta, other.z, other.a);
    z = hn::MulAdd(top, other.z, z);
    a = hn::MulAdd(top, once, a);
    b = hn::MulAdd(top, hn::MulAdd(delta, hn::Add(other.a, once), other.b), b);
  }
  Vector entropy() const { return hn::Sub(log_z(), hn::Div(a, z)); }
  Vector varentropy() const {
    const Vector mean = hn::Div(a, z);
    // Rounding must not make it negative.
    return hn::Max(zero(), hn::NegMulAdd(mean, mean, hn::Div(b, z)));
  }
  Vector log_sum_exp() const { return hn::Add(m, log_z()); }

 private:
  Vector log_z() const { return hn::IfThenElse(hn::IsNaN(z), z, hn::Log(Doubles(), z)); }
};

HWY_INLINE Scores no_scores(Vector shift) {
  return {shift, zero(), zero(), zero()};
}
// As many scores of each head, all the same.
HWY_INLINE Scores equal_scores(Vector score, double count) {
  return {score, hn::Set(Doubles(), count), zero(), zero()};
}

// Two sets in one; each one's top is left about the maximum of both.
HWY_INLINE Scores merged(const Scores& x, const Scores& y, Vector& top_of_x, Vector& top_of_y) {
  const Vector larger = hn::Max(x.m, y.m);
  Scores both = no_scores(hn::IfThenElse(x.none(), y.m, hn::IfThenElse(y.none(), x.m, larger)));
  top_of_x = x.top(both.m);
  top_of_y = y.top(both.m);
  both.add(x, both.m, top_of_x);
  both.add(y, both.m, top_of_y);
  return both;
}

// Heads [begin, begin + count) of a call, which the lanes hold; lanes beyond repeat the last one.
class Lanes {
 public:
  Lanes(const MergeCall& call, int64_t begin)
      : call_(call),
        begin_(begin),
        present_(hn::FirstN(Floats(), static_cast<size_t>(call.heads - begin))) {
    const hn::RebindToSigned<Floats> whole;
    const auto last = hn::Set(whole, static_cast<int32_t>(call.heads - begin - 1));
    const auto number = hn::Min(hn::Iota(whole, 0), last);
    numbers_ = hn::Mul(number, hn::Set(whole, sizeof(ChunkState) / sizeof(float)));
  }

  Vector load(int64_t chunk, float ChunkState::*member) const {
    const ChunkState* const states = call_.states + chunk * call_.stride + begin_;
    return hn::PromoteTo(Doubles(), hn::GatherIndex(Floats(), &(states->*member), numbers_));
  }
  void store(Vector x, MergedHeads::Heads& to) const {
    hn::Store(x, Doubles(), to.data() + begin_);
  }
  void store(Vector x, float* to, int64_t chunk) const {
    float* const row = to + chunk * call_.stride + begin_;
    hn::BlendedStore(hn::DemoteTo(Floats(), x), present_, Floats(), row);
  }
  // to = from * factor; may be the same.
  void scale(const float* from, Vector factor, float* to) const {
    for (int64_t c = 0; c < call_.chunks; ++c) {
      const float* const row = from + c * call_.stride + begin_;
      const auto x = hn::PromoteTo(Doubles(), hn::MaskedLoad(present_, Floats(), row));
      store(hn::Mul(x, factor), to, c);
    }
  }

 private:
  using Floats = hn::Rebind<float, Doubles>;
  const MergeCall& call_;
  int64_t begin_;
  hn::Mask<Floats> present_;
  hn::Vec<hn::RebindToSigned<Floats>> numbers_;
};

void merge_lanes(const MergeCall& call, int64_t begin, MergedHeads& to) {
  const Lanes lanes(call, begin);
  Vector shift = hn::Set(Doubles(), -std::numeric_limits<double>::infinity());
  for (int64_t c = 0; c < call.chunks; ++c) {
    shift = hn::Max(shift, lanes.load(c, &ChunkState::top));
  }
  Scores rest = no_scores(shift);  // all but position 0
  Vector abs_sum = zero();
  for (int64_t c = 0; c < call.chunks; ++c) {
    Scores chunk = no_scores(lanes.load(c, &ChunkState::top));
    chunk.z = lanes.load(c, &ChunkState::total);
    if (call.statistics) {
      chunk.a = lanes.load(c, &ChunkState::first_moment);
      chunk.b = lanes.load(c, &ChunkState::second_moment);
      abs_sum = hn::Add(abs_sum, lanes.load(c, &ChunkState::abs_sum));
    }
    const Vector top = chunk.top(shift);
    lanes.store(top, call.factors, c);
    rest.add(chunk, shift, top);
  }
  Scores first = no_scores(zero());
  if (call.first_values != nullptr) {
    first = equal_scores(lanes.load(0, &ChunkState::first_score), 1);
    abs_sum = hn::Add(abs_sum, hn::Abs(first.m));
  }
  Vector top_of_first, top_of_rest;
  const Scores all = merged(first, rest, top_of_first, top_of_rest);
  lanes.store(hn::Div(top_of_first, all.z), to.first);
  if (call.statistics) {
    lanes.store(all.entropy(), to.entropy);
    lanes.store(all.varentropy(), to.varentropy);
    lanes.store(all.log_sum_exp(), to.log_sum_exp);
    lanes.store(hn::Div(hn::Set(Doubles(), 1), all.z), to.max_probability);
    lanes.store(abs_sum, to.abs_sum);
  }
  if (call.padded_factors != nullptr) {
    const Scores empty = equal_scores(zero(), call.empty);
    Vector top_of_all, top_of_empty;
    const Scores padded = merged(all, empty, top_of_all, top_of_empty);
    const Vector factor = hn::Div(top_of_all, padded.z);
    lanes.store(padded.entropy(), to.padded_entropy);
    lanes.store(hn::Mul(top_of_first, factor), to.padded_first);
    lanes.store(hn::Div(top_of_empty, padded.z), to.padded_empty);
    lanes.scale(call.factors, hn::Mul(top_of_rest, factor), call.padded_factors);
  }
  if (call.factors_without_first != nullptr) {
    const Vector without_first = hn::Div(hn::Set(Doubles(), 1), rest.z);
    lanes.scale(call.factors, hn::IfThenZeroElse(rest.none(), without_first),
                call.factors_without_first);
  }
  lanes.scale(call.factors, hn::Div(top_of_rest, all.z), call.factors);
}

using Floats = hn::ScalableTag<float>;
constexpr int64_t kColumns = HWY_LANES(float);

// The first value of a block: its numbers as float32, or the even ones of bfloat16's pairs.
template <class D>
HWY_INLINE hn::Vec<D> load_first_value(D d, const void* values, int64_t at, CacheType type) {
  if (type == CacheType::kFloat32) return hn::LoadU(d, static_cast<const float*>(values) + at);
  const hn::RebindToUnsigned<D> words;
  const auto pairs = hn::LoadU(words, static_cast<const uint32_t*>(values) + at);
  return hn::BitCast(d, hn::ShiftLeft<16>(pairs));
}

template <class D>
HWY_INLINE void combine_columns(D d, const MergeCall& call, int64_t head, float first, int64_t at) {
  auto sum = hn::Zero(d);
  for (int64_t c = 0; c < call.chunks; ++c) {
    const int64_t record = c * call.stride + head;
    const float factor = call.factors[record];
    if (factor == 0) continue;  // perhaps a chunk before the window, whose sums were never written
    sum = hn::MulAdd(hn::Set(d, factor), hn::LoadU(d, call.sums + record * call.dim + at), sum);
  }
  if (call.first_values != nullptr) {
    sum = hn::MulAdd(hn::Set(d, first),
                     load_first_value(d, call.first_values[head], at, call.cache), sum);
  }
  hn::StoreU(sum, d, call.outputs + head * call.dim + at);
}

void merge(const MergeCall& call, MergedHeads& merged) {
  for (int64_t h = 0; h < call.heads; h += kHeads) merge_lanes(call, h, merged);
  for (int64_t h = 0; h < call.heads; ++h) {
    const auto first = static_cast<float>(merged.first[static_cast<size_t>(h)]);
    int64_t at = 0;
    for (; at + kColumns <= call.dim; at += kColumns) {
      combine_columns(Floats(), call, h, first, at);
    }
    for (; at < call.dim; ++at) combine_columns(hn::CappedTag<float, 1>(), call, h, first, at);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

Merge merge_kernel(CpuPath path) {
#if HWY_TARGETS & HWY_AVX3
  if (path >= CpuPath::kAvx512) return N_AVX3::merge;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (path == CpuPath::kAvx2) return N_AVX2::merge;
#endif
  return HWY_STATIC_DISPATCH(merge);
}

}  // namespace surprisal
#endif
