// e^x of vectors of double. As Highway's own files of this kind, to be included by sources that are
// compiled once for each instruction set, and compiled with them.
#if defined(SURPRISAL_LIB_EXPONENTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SURPRISAL_LIB_EXPONENTIAL_INL_H_
#undef SURPRISAL_LIB_EXPONENTIAL_INL_H_
#else
#define SURPRISAL_LIB_EXPONENTIAL_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace surprisal {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Where exponential() is exactly 0; the largest x for which it is lies at -708.7.
constexpr double kVanishingExponent = -709;

/// e^x for x in [kVanishingExponent, 0], to 1.7e-14 + |x| 4e-17 (without fused products |x| 8e-17);
/// e^0 is 1. x = n ln 2 + r, |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r), q the polynomial of
/// degree 7 with the least largest relative error, 1.65e-14 (Remez). Highway's serves all x, at
/// about three times the instructions.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exponential(D d, V x) {
  const hn::RebindToUnsigned<D> bits;
  // Of this number + n the lowest bits are n + 1023, the exponent's of 2^n; 0, those of 0, for the
  // least x.
  const V whole = hn::Set(d, 0x1.8p52 + 1023);
  const V shifted = hn::MulAdd(x, hn::Set(d, 0x1.71547652b82fep0), whole);
  const V power = hn::BitCast(d, hn::ShiftLeft<52>(hn::BitCast(bits, shifted)));
  // Of ln 2 its first 53 bits: the rest would add |x| 3e-17.
  const V r = hn::NegMulAdd(hn::Sub(shifted, whole), hn::Set(d, 0x1.62e42fefa39efp-1), x);
  const auto pair = [&](double high, double low)
                        HWY_ATTR { return hn::MulAdd(r, hn::Set(d, high), hn::Set(d, low)); };
  const V r2 = hn::Mul(r, r), r4 = hn::Mul(r2, r2);
  const V low = hn::MulAdd(pair(0x1.1111108e2ca2ep-7, 0x1.5555557deeefdp-5), r2,
                           pair(0x1.5555555589f01p-3, 0x1.fffffffff13f6p-2));
  const V high = hn::MulAdd(pair(0x1.7101826301f57p-19, 0x1.a16e32b8b406fp-16), r2,
                            pair(0x1.a01b73842a6f9p-13, 0x1.6c163be922fe8p-10));
  const V q = hn::MulAdd(high, r4, low);
  return hn::Mul(hn::MulAdd(q, r2, hn::Add(r, hn::Set(d, 1.0))), power);
}

}  // namespace HWY_NAMESPACE
}  // namespace surprisal
HWY_AFTER_NAMESPACE();
#endif
