#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <numbers>
#include <span>
#include <string_view>

#include "lib/philox.h"

namespace surprisal {

/// Identifies one answer's randomness: the first 8 bytes (little endian) of
/// SHA-256("surprisal-draws\n<seed>\n<question>\n<repeat>"), in decimal where a number stands.
/// Sweep cell, batch row, thread and shard never enter, so two settings that see the same
/// distribution at the same place make the same choice (common random numbers).
uint64_t draws_key(uint64_t run_seed, std::string_view question_sha256, uint64_t repeat);

/// The random numbers of one position of one answer (design, contract 3). A pure function:
///   key     = draws_key(...)
///   counter = (position, path, attempt << 16 | draw, index / 4), word index % 4
/// where index is the token id for Gumbel noise, and the running number for plain uniforms.
/// Every uniform is (word + 1/2) / 2^32, so 0 < u < 1 always.
class Draws {
 public:
  /// @param position  index in the context (prompt included) of the token being chosen
  /// @param path      number of the branch or sample within the answer
  /// @param attempt   how often this position was returned to by a rewind; < 65,536
  Draws(uint64_t key, uint32_t position, uint32_t path = 0, uint32_t attempt = 0)
      : key_{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)},
        position_(position),
        path_(path),
        attempt_(attempt) {}

  /// Uniform in (0, 1). @param draw  which of this step's draws (< 65,536); distinct purposes use
  /// distinct draws (0 is the token choice).
  double uniform(uint32_t draw, uint32_t index = 0) const;

  /// Standard Gumbel noise of a token: -log(-log1p(-u)), exact to double precision in the far tail.
  double gumbel(uint32_t draw, uint32_t token) const;

  /// The words of tokens 4 * block to 4 * block + 3 are philox4x32_10(counter(draw, block), key()).
  PhiloxCounter counter(uint32_t draw, uint32_t block) const {
    return {position_, path_, attempt_ << 16 | (draw & 0xFFFF), block};
  }
  const PhiloxKey& key() const { return key_; }

  /// By key, position, path and attempt: equal ones give the same numbers.
  auto operator<=>(const Draws&) const = default;

 private:
  PhiloxKey key_;
  uint32_t position_, path_, attempt_;
};

/// Maps a random word to (0, 1).
constexpr double open_unit_interval(uint32_t word) {
  return (word + 0.5) * 0x1p-32;
}

/// Standard Gumbel noise made of a random word.
double gumbel_of_word(uint32_t word);
/// An upper bound of that, within ln 2 of it in the tail: since -log1p(-u) > u, the noise is below
/// -ln u, and u >= 2^-(leading zeros of the word + 1).
inline double noise_bound(uint32_t word) {
  return std::numbers::ln2 * (std::countl_zero(word) + 1);
}

/// The Gumbel noise of one draw, for many tokens: the same numbers as Draws::gumbel(), cheap to
/// bound, and a quarter of the work where tokens are asked for in ascending order.
class GumbelNoise {
 public:
  GumbelNoise(const Draws& draws, uint32_t draw) : draws_(draws), draw_(draw) {}

  double bound(uint32_t token) { return noise_bound(word(token)); }
  double value(uint32_t token);

 private:
  uint32_t word(uint32_t token);

  Draws draws_;
  uint32_t draw_;
  uint32_t block_ = 0xFFFFFFFF;  ///< whose words are at hand: tokens 4 block_ .. 4 block_ + 3
  PhiloxCounter words_{};
};

}  // namespace surprisal
