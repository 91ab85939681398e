#include "samplers/entropix/jax_random.h"

#include <bit>
#include <cmath>

namespace surprisal {
namespace {

/// Random words as the original layout lays them out: counters 0 .. count-1, padded with a 0 to an
/// even number, are hashed in pairs (i, i + half).
std::vector<uint32_t> random_words(JaxKey key, size_t count) {
  const size_t half = (count + 1) / 2;
  std::vector<uint32_t> words(2 * half);
  for (size_t i = 0; i < half; ++i) {
    const size_t second = half + i;
    const auto hashed = threefry2x32(
        key, {static_cast<uint32_t>(i), second < count ? static_cast<uint32_t>(second) : 0});
    words[i] = hashed[0];
    words[second] = hashed[1];
  }
  words.resize(count);
  return words;
}

}  // namespace

std::array<uint32_t, 2> threefry2x32(JaxKey key, std::array<uint32_t, 2> counter) {
  constexpr int kRotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  const uint32_t schedule[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAU};
  uint32_t x = counter[0] + schedule[0], y = counter[1] + schedule[1];
  for (uint32_t group = 0; group < 5; ++group) {
    for (const int rotation : kRotations[group % 2]) {
      x += y;
      y = std::rotl(y, rotation) ^ x;
    }
    x += schedule[(group + 1) % 3];
    y += schedule[(group + 2) % 3] + group + 1;
  }
  return {x, y};
}

std::vector<JaxKey> jax_split(JaxKey key, size_t count) {
  const std::vector<uint32_t> words = random_words(key, 2 * count);
  std::vector<JaxKey> keys(count);
  for (size_t i = 0; i < count; ++i) keys[i] = {words[2 * i], words[2 * i + 1]};
  return keys;
}

std::vector<float> jax_exponential(JaxKey key, size_t count) {
  std::vector<float> result;
  for (const uint32_t word : random_words(key, count)) {
    const float u = std::bit_cast<float>(word >> 9 | 0x3F800000U) - 1.0F;
    result.push_back(-std::log1p(-u));
  }
  return result;
}

}  // namespace surprisal
