#pragma once

#include <cstddef>
#include <span>

namespace surprisal::fuzz {

/// Each target hands the bytes to one reader of untrusted input. A surprisal::Error is a correct
/// answer and is swallowed; anything else (another exception, a sanitizer's report) is a finding.
/// @return whether the input was accepted
bool fuzz_safetensors(std::span<const std::byte> input);
bool fuzz_model_config(std::span<const std::byte> input);

}  // namespace surprisal::fuzz
