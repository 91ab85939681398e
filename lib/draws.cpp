#include "lib/draws.h"

#include <cmath>
#include <cstdlib>
#include <string>

#include "lib/sha256.h"

namespace surprisal {

double gumbel_of_word(uint32_t word) {
  return -std::log(-std::log1p(-open_unit_interval(word)));
}

uint64_t draws_key(uint64_t run_seed, std::string_view question_sha256, uint64_t repeat) {
  const std::string digest =
      sha256_hex("surprisal-draws\n" + std::to_string(run_seed) + "\n" +
                 std::string(question_sha256) + "\n" + std::to_string(repeat));
  uint64_t key = 0;
  for (int byte = 7; byte >= 0; --byte)  // little endian
    key = key << 8 | std::stoul(digest.substr(static_cast<size_t>(2 * byte), 2), nullptr, 16);
  return key;
}

double Draws::uniform(uint32_t draw, uint32_t index) const {
  return open_unit_interval(philox4x32_10(counter(draw, index / 4), key_)[index % 4]);
}

double Draws::gumbel(uint32_t draw, uint32_t token) const {
  return gumbel_of_word(philox4x32_10(counter(draw, token / 4), key_)[token % 4]);
}

uint32_t GumbelNoise::word(uint32_t token) {
  if (token / 4 != block_) {
    block_ = token / 4;
    words_ = philox4x32_10(draws_.counter(draw_, block_), draws_.key());
  }
  return words_[token % 4];
}

double GumbelNoise::value(uint32_t token) {
  return gumbel_of_word(word(token));
}

}  // namespace surprisal
