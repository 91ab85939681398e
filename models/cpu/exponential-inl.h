// e^x of vectors. As Highway's own files of this kind, to be included by sources that are compiled
// once for each CPU path, and compiled with them.
#if defined(SURPRISAL_MODELS_CPU_EXPONENTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SURPRISAL_MODELS_CPU_EXPONENTIAL_INL_H_
#undef SURPRISAL_MODELS_CPU_EXPONENTIAL_INL_H_
#else
#define SURPRISAL_MODELS_CPU_EXPONENTIAL_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Of the results of exponential().
enum class Results {
  kAll,
  kNormal,  ///< none is below the least normal number: x >= -87
};

/// p 2^n for whole n <= 0, rounded once where the result is subnormal. NaN stays.
template <Results kResults, class D, class V = hn::Vec<D>>
HWY_INLINE V scaled_by_power(D d, V p, V n) {
#if HWY_TARGET == HWY_AVX3
  (void)d;
  return V{_mm512_scalef_ps(p.raw, n.raw)};
#else
  const hn::RebindToSigned<D> i;
  const auto power = [&](auto e) HWY_ATTR {
    return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(e, hn::Set(i, 127))));
  };
  if constexpr (kResults == Results::kNormal) return hn::Mul(p, power(hn::ConvertTo(i, n)));
  // Below the least subnormal the result is 0 whatever n is; both powers are normal.
  const auto whole = hn::ConvertTo(i, hn::Max(n, hn::Set(d, -252.0f)));
  const auto half = hn::ShiftRight<1>(whole);
  return hn::Mul(hn::Mul(p, power(half)), power(hn::Sub(whole, half)));
#endif
}

/// e^x for x <= 0, to 1.2 units in the last place; NaN stays NaN. x = n ln 2 + r, |r| <= ln 2 / 2,
/// and e^r by its series, of which the first term left out is below 6e-9. Highway's serves all x,
/// at three times the instructions, and makes 0 of NaN.
template <Results kResults = Results::kAll, class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, V x) {
  const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
  // ln 2 in two parts, n times the first of which is exact.
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  const auto pair = [&](float high, float low) HWY_ATTR {
    return hn::MulAdd(r, hn::Set(d, 1 / high), hn::Set(d, 1 / low));
  };
  const V r2 = hn::Mul(r, r);
  V p = hn::MulAdd(pair(5040, 720), r2, pair(120, 24));
  p = hn::MulAdd(p, r2, pair(6, 2));
  p = hn::Add(hn::MulAdd(p, r2, r), hn::Set(d, 1.0f));
  return scaled_by_power<kResults>(d, p, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();
#endif
