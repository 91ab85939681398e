#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace surprisal {

/// JAX's random numbers as its releases before 0.5 made them (threefry2x32, "original" layout:
/// jax_threefry_partitionable off), for samplers whose published behaviour hangs on them.
/// Ref: jax/_src/prng.py and random.py @0.4.34; Salmon et al., SC 2011 (Threefry).
using JaxKey = std::array<uint32_t, 2>;

/// Threefry-2x32, 20 rounds.
std::array<uint32_t, 2> threefry2x32(JaxKey key, std::array<uint32_t, 2> counter);

/// jax.random.PRNGKey(seed)
constexpr JaxKey jax_key(uint32_t seed) {
  return {0, seed};
}

/// jax.random.split(key, count)
std::vector<JaxKey> jax_split(JaxKey key, size_t count);

/// jax.random.exponential(key, (count,), float32): -log1p(-u), u in [0, 1) with 23 bits; may be 0.
std::vector<float> jax_exponential(JaxKey key, size_t count);

}  // namespace surprisal
