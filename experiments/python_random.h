#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace surprisal {

/// The part of CPython's random.Random that lm-evaluation-harness draws few-shot examples with:
/// Random(seed) and sample(range(n), k), number for number.
/// Ref: CPython 3.11 Modules/_randommodule.c (init_by_array, getrandbits), Lib/random.py (sample).
class PythonRandom {
 public:
  explicit PythonRandom(uint32_t seed);

  /// Indices of random.sample(population, count) for a population of `size`.
  /// @throws Error(kConfig) when count > size
  std::vector<size_t> sample(size_t size, size_t count);

 private:
  size_t below(size_t bound);

  std::mt19937 generator_;
};

}  // namespace surprisal
