#include "tests/fuzz/targets.h"

#include <string_view>

#include "lib/error.h"
#include "lib/json.h"
#include "lib/safetensors.h"
#include "models/config.h"

namespace surprisal::fuzz {
namespace {

template <typename Read>
bool accepts(const Read& read) {
  try {
    read();
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Touches every byte, so that a range outside of the input is caught; the sum keeps the reads.
void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  [[maybe_unused]] static volatile unsigned sink;
  sink = sum;
}

}  // namespace

bool fuzz_safetensors(std::span<const std::byte> input) {
  return accepts([&] {
    for (const auto& [name, entry] : parse_safetensors(input, "input"))
      touch(input.subspan(entry.begin, entry.end - entry.begin));
  });
}

bool fuzz_model_config(std::span<const std::byte> input) {
  return accepts([&] {
    const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
    parse_model_config(parse_json(text, "input"), "input").context_length();
  });
}

}  // namespace surprisal::fuzz
