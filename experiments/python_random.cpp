#include "experiments/python_random.h"

#include <bit>
#include <numeric>
#include <set>
#include <string>

#include "lib/error.h"

namespace surprisal {
namespace {

/// A seed sequence in the sense of <random> that hands the generator the very state which MT19937's
/// init_by_array makes of a one-word key. Ref: Matsumoto and Nishimura, mt19937ar.c (2002).
class InitByArray {
 public:
  using result_type = uint32_t;

  explicit InitByArray(uint32_t key) : key_(key) {}

  template <typename Iterator>
  void generate(Iterator begin, Iterator end) const {
    const size_t size = static_cast<size_t>(end - begin);
    std::vector<uint32_t> state(size);
    state[0] = 19650218;
    for (size_t i = 1; i < size; ++i)
      state[i] = 1812433253U * (state[i - 1] ^ (state[i - 1] >> 30)) + static_cast<uint32_t>(i);
    size_t i = 1;
    const auto step = [&](uint32_t multiplier, auto&& finish) {
      const uint32_t mixed = state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * multiplier);
      state[i] = finish(mixed, static_cast<uint32_t>(i));
      if (++i == size) {
        state[0] = state[size - 1];
        i = 1;
      }
    };
    for (size_t n = 0; n < size; ++n)
      step(1664525U, [&](uint32_t mixed, uint32_t) { return mixed + key_; });
    for (size_t n = 1; n < size; ++n)
      step(1566083941U, [](uint32_t mixed, uint32_t index) { return mixed - index; });
    state[0] = 0x80000000U;
    for (size_t n = 0; n < size; ++n) begin[static_cast<std::ptrdiff_t>(n)] = state[n];
  }
  size_t size() const { return 1; }
  template <typename Iterator>
  void param(Iterator out) const {
    *out = key_;
  }

 private:
  uint32_t key_;
};

std::mt19937 seeded(uint32_t seed) {
  InitByArray sequence(seed);
  return std::mt19937(sequence);
}

}  // namespace

PythonRandom::PythonRandom(uint32_t seed) : generator_(seeded(seed)) {}

size_t PythonRandom::below(size_t bound) {
  const auto bits = static_cast<int>(std::bit_width(bound));
  size_t value;
  do value = static_cast<uint32_t>(generator_()) >> (32 - bits);
  while (value >= bound);
  return value;
}

std::vector<size_t> PythonRandom::sample(size_t size, size_t count) {
  if (count > size || size > 0xFFFFFFFF)
    throw Error(ErrorCode::kConfig, "cannot draw " + std::to_string(count) +
                                        " different examples out of " + std::to_string(size));
  std::vector<size_t> result(count);
  size_t set_size = 21;  // Python's estimate of when a set of the chosen beats a copy of the pool
  if (count > 5)
    for (size_t power = 1, goal = count * 3; true; power *= 4)
      if (power >= goal) {
        set_size += power;
        break;
      }
  if (size <= set_size) {
    std::vector<size_t> pool(size);
    std::iota(pool.begin(), pool.end(), size_t{0});
    for (size_t i = 0; i < count; ++i) {
      const size_t chosen = below(size - i);
      result[i] = pool[chosen];
      pool[chosen] = pool[size - i - 1];
    }
    return result;
  }
  std::set<size_t> chosen;
  for (size_t& index : result) {
    do index = below(size);
    while (!chosen.insert(index).second);
  }
  return result;
}

}  // namespace surprisal
