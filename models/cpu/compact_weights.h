#pragma once

#include <cstddef>
#include <cstdint>

namespace surprisal {

/// bfloat16 weights in 12 bits, without loss. The upper byte of a weight, its sign and most of its
/// exponent, takes few values in a trained matrix, and four bits say which of a panel's 16 most
/// frequent ones it is; the lower byte is stored as it is. What has another upper byte (2 of 10,000
/// weights of a SmolLM2) is a patch. Products of few rows take as long as their weights take to
/// read: up to a quarter less.
///
/// After DFloat11 (Zhang et al., "70% Size, 100% Accuracy", 2025), whose Huffman codes take 11 bits
/// and a GPU; a code of one length needs a table in one register.
///
/// A panel of kPanel outputs, 64-byte aligned:
///   table    [16] bytes
///   patches  uint32, ascending, then kNoPatch; up to the next multiple of 64 bytes
///   units    of four inputs: [64] lower bytes of the first pair of inputs, [64] of the second,
///            [64] codes, those of the first pair below those of the second
/// The bytes of a pair lie so that joining them by x86's unpacking of bytes, which works within
/// 128 bits, gives the words of the plain form (PackedShape): outputs 0 to 15 from the lower halves
/// of each 128 bits, the others from the upper ones.
namespace compact {

inline constexpr int64_t kUnitInputs = 4, kUnitBytes = 192, kPairBytes = 64, kTableBytes = 16;

/// Where a weight's byte lies among the 64 of its pair of inputs.
constexpr int64_t byte_of(int64_t output, int64_t odd) {
  const int64_t half = output / 16, word = output % 16 * 2 + odd;
  return word / 8 * 16 + half * 8 + word % 8;
}

/// What fits this form: whole blocks of inputs, few enough for a patch's position.
constexpr bool takes(int64_t in) {
  return in % 32 == 0 && in < (int64_t{1} << 18);
}
/// Room for the table and for a patch of every 512th weight.
constexpr int64_t header_bytes(int64_t in) {
  return (kTableBytes + (in / 16 + 1) * 4 + 63) / 64 * 64;
}
constexpr int64_t panel_bytes(int64_t in) {
  return header_bytes(in) + in / kUnitInputs * kUnitBytes;
}

/// The upper byte of one weight: the byte's place in the panel, counted over the pairs' 64 bytes
/// each, in 24 bits, and below it its value.
using Patch = uint32_t;
inline constexpr Patch kNoPatch = 0xffffffffu;
constexpr Patch make_patch(int64_t place, uint8_t upper) {
  return static_cast<Patch>(place) << 8 | upper;
}
constexpr int64_t place_of(Patch patch) {
  return patch >> 8;
}
constexpr int64_t unit_of(Patch patch) {
  return patch >> 15;
}

/// A panel in this form.
struct Panel {
  const std::byte* table;
  const Patch* patches;
  const std::byte* units;
  Panel(const std::byte* panel, int64_t in)
      : table(panel),
        patches(reinterpret_cast<const Patch*>(panel + kTableBytes)),
        units(panel + header_bytes(in)) {}
};

/// Writes a panel. What products of outputs beyond `outputs` give is of no use.
/// @param weights  [outputs, in] in bfloat16
/// @return false where more weights than there is room for need a patch; the panel is of no use
/// then
bool pack(const uint16_t* weights, int64_t outputs, int64_t in, std::byte* panel);

/// One output's weights in bfloat16.  @param to  [in]
void unpack(const std::byte* panel, int64_t output, int64_t in, uint16_t* to);

}  // namespace compact
}  // namespace surprisal
