// One libFuzzer program per target (FUZZ_TARGET is its name).

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const surprisal::fuzz::Target& target = surprisal::fuzz::target(FUZZ_TARGET);
  target.accepts({reinterpret_cast<const char*>(data), size});
  return 0;
}

/// Half of the changes are libFuzzer's own, half keep the input's outer shape.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  if (seed % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  surprisal::fuzz::Mutator mutator(seed);
  const std::string changed = surprisal::fuzz::target(FUZZ_TARGET)
                                  .reshape(mutator, {reinterpret_cast<const char*>(data), size});
  const size_t length = std::min(changed.size(), max_size);
  std::copy_n(changed.begin(), length, data);
  return length;
}
