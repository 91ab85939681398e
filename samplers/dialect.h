#pragma once

#include <string_view>

namespace surprisal {

/// Whose behaviour a rule follows where engines differ under one name. A rule that an engine lacks
/// follows its authors' code in every dialect.
enum class Dialect {
  kHf,     ///< Hugging Face transformers (generation/logits_process.py)
  kLlama,  ///< llama.cpp (src/llama-sampler.cpp)
  kVllm,   ///< vLLM (v1/sample/)
};
inline constexpr std::string_view kDialectNames[] = {"hf", "llama", "vllm"};

}  // namespace surprisal
