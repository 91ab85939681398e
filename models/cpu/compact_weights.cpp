#include "models/cpu/compact_weights.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "models/cpu/linear_kernels.h"

namespace surprisal::compact {
namespace {

constexpr int kValues = 256, kCodes = 16;
constexpr uint8_t kNoCode = kCodes;
static_assert(kPanel == 32 && kSumBlock % kUnitInputs == 0);

uint8_t upper(uint16_t weight) {
  return static_cast<uint8_t>(weight >> 8);
}

using Table = std::array<uint8_t, kCodes>;

/// The most frequent upper bytes.
Table most_frequent(const uint16_t* weights, int64_t outputs, int64_t in) {
  // Neighbours are mostly alike, and to count one waits for the last count of the same number.
  constexpr int64_t kCounts = 4;
  static_assert(kUnitInputs % kCounts == 0);
  std::array<std::array<int64_t, kValues>, kCounts> counts{};
  for (int64_t i = 0; i < outputs * in; i += kCounts) {
    for (size_t j = 0; j < kCounts; ++j) ++counts[j][upper(weights[i + static_cast<int64_t>(j)])];
  }
  const auto count = [&](uint8_t value) {
    return std::accumulate(counts.begin(), counts.end(), int64_t{0},
                           [&](int64_t sum, const auto& part) { return sum + part[value]; });
  };
  std::array<uint8_t, kValues> values{};
  std::iota(values.begin(), values.end(), uint8_t{0});
  std::stable_sort(values.begin(), values.end(),
                   [&](uint8_t a, uint8_t b) { return count(a) > count(b); });
  Table table;
  std::copy_n(values.begin(), kCodes, table.begin());
  return table;
}

}  // namespace

bool pack(const uint16_t* weights, int64_t outputs, int64_t in, std::byte* panel) {
  const Table table = most_frequent(weights, outputs, in);
  std::array<uint8_t, kValues> codes;
  codes.fill(kNoCode);
  for (uint8_t i = 0; i < kCodes; ++i) codes[table[i]] = i;

  auto* const to = reinterpret_cast<uint8_t*>(panel);
  std::vector<Patch> patches;
  for (int64_t output = 0; output < outputs; ++output) {
    const uint16_t* from = weights + output * in;
    uint8_t* unit = to + header_bytes(in);
    for (int64_t input = 0; input < in; input += kUnitInputs, from += kUnitInputs) {
      for (int64_t odd = 0; odd < 2; ++odd) {
        const int64_t byte = byte_of(output, odd);
        const uint16_t first = from[odd], second = from[2 + odd];
        const uint8_t code = codes[upper(first)], next = codes[upper(second)];
        unit[byte] = static_cast<uint8_t>(first);
        unit[kPairBytes + byte] = static_cast<uint8_t>(second);
        unit[2 * kPairBytes + byte] = static_cast<uint8_t>(code % kCodes | next << 4);
        const int64_t place = input / 2 * kPairBytes + byte;
        if (code == kNoCode) patches.push_back(make_patch(place, upper(first)));
        if (next == kNoCode) patches.push_back(make_patch(place + kPairBytes, upper(second)));
      }
      unit += kUnitBytes;
    }
  }
  const int64_t room = (header_bytes(in) - kTableBytes) / int64_t{sizeof(Patch)};
  if (static_cast<int64_t>(patches.size()) >= room) return false;
  std::sort(patches.begin(), patches.end());
  patches.push_back(kNoPatch);
  std::copy(table.begin(), table.end(), to);
  std::copy(patches.begin(), patches.end(), reinterpret_cast<Patch*>(panel + kTableBytes));
  return true;
}

void unpack(const std::byte* panel, int64_t output, int64_t in, uint16_t* to) {
  const Panel parts(panel, in);
  const auto* const table = reinterpret_cast<const uint8_t*>(parts.table);
  const auto* unit = reinterpret_cast<const uint8_t*>(parts.units);
  for (int64_t input = 0; input < in; ++input) {
    const int64_t pair = input % kUnitInputs / 2, byte = byte_of(output, input % 2);
    const int code = unit[2 * kPairBytes + byte] >> (4 * pair) & (kCodes - 1);
    to[input] = static_cast<uint16_t>(table[code] << 8 | unit[pair * kPairBytes + byte]);
    if (input % kUnitInputs == kUnitInputs - 1) unit += kUnitBytes;
  }
  for (const Patch* patch = parts.patches; *patch != kNoPatch; ++patch) {
    const int64_t input = place_of(*patch) / kPairBytes * 2, byte = place_of(*patch) % kPairBytes;
    for (int64_t odd = 0; odd < 2; ++odd) {
      if (byte != byte_of(output, odd)) continue;
      to[input + odd] = static_cast<uint16_t>((*patch & 0xff) << 8 | (to[input + odd] & 0xff));
    }
  }
}

}  // namespace surprisal::compact
