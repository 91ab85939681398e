#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  surprisal::fuzz::FUZZ_TARGET(std::as_bytes(std::span(data, size)));
  return 0;
}
