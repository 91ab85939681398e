#pragma once

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "models/cpu/compact_weights.h"
#include "models/cpu/linear_kernels.h"

HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl")
namespace surprisal::compact {

/// Decodes a panel's units one after the other, in AVX-512.
class UnitReader {
 public:
  UnitReader(const std::byte* panel, int64_t in) : UnitReader(Panel(panel, in)) {}

  /// Two pairs of inputs as the plain form has them: of each, the words of outputs 0 to 15 and of
  /// the others.
  struct Unit {
    __m512i pair[2][2];
  };
  HWY_INLINE Unit next() {
    const __m512i codes = load(2 * kPairBytes);
    __m512i upper[2] = {
        _mm512_shuffle_epi8(table_, _mm512_and_si512(codes, low4())),
        _mm512_shuffle_epi8(table_, _mm512_and_si512(_mm512_srli_epi16(codes, 4), low4()))};
    if (HWY_UNLIKELY(at_ == patched_)) patch(upper);
    Unit unit;
    for (int i = 0; i < 2; ++i) {
      const __m512i lower = load(i * kPairBytes);
      unit.pair[i][0] = _mm512_unpacklo_epi8(lower, upper[i]);
      unit.pair[i][1] = _mm512_unpackhi_epi8(lower, upper[i]);
    }
    at_ += kUnitBytes;
    return unit;
  }
  /// Where the next unit lies.
  const std::byte* at() const { return at_; }

 private:
  explicit UnitReader(const Panel& panel)
      : at_(panel.units),
        units_(panel.units),
        patches_(panel.patches),
        patched_(units_ + unit_of(*patches_) * kUnitBytes),
        table_(_mm512_maskz_broadcast_i32x4(
            0xffff, _mm_load_si128(reinterpret_cast<const __m128i*>(panel.table)))) {}

  static HWY_INLINE __m512i low4() { return _mm512_set1_epi8(0xf); }
  HWY_INLINE __m512i load(int64_t offset) const { return _mm512_load_si512(at_ + offset); }
  HWY_INLINE void patch(__m512i (&upper)[2]) {
    for (const int64_t unit = unit_of(*patches_); unit_of(*patches_) == unit; ++patches_) {
      const int64_t place = place_of(*patches_) % (2 * kPairBytes);
      const __mmask64 byte = uint64_t{1} << place % kPairBytes;
      const auto value = static_cast<char>(*patches_ & 0xff);
      if (place < kPairBytes) {
        upper[0] = _mm512_mask_set1_epi8(upper[0], byte, value);
      } else {
        upper[1] = _mm512_mask_set1_epi8(upper[1], byte, value);
      }
    }
    patched_ = units_ + unit_of(*patches_) * kUnitBytes;
  }

  const std::byte* at_;
  const std::byte* units_;
  const Patch* patches_;
  const std::byte* patched_;  // the next unit with a patch; of none, beyond all units
  __m512i table_;
};

/// The same, which writes what it reads in plain form for others to read.
class UnitDecoder : public UnitReader {
 public:
  UnitDecoder(const UnitReader& units, std::byte* plain) : UnitReader(units), plain_(plain) {}
  HWY_INLINE Unit next() {
    const Unit unit = UnitReader::next();
    for (const auto& pair : unit.pair) {
      for (const __m512i& words : pair) {
        _mm512_store_si512(plain_, words);
        plain_ += sizeof words;
      }
    }
    return unit;
  }

 private:
  std::byte* plain_;
};

}  // namespace surprisal::compact
HWY_POP_ATTRIBUTES
#endif
