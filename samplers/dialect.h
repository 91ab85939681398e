#pragma once

namespace surprisal {

/// Whose behaviour a rule follows where engines differ under one name.
enum class Dialect {
  kHf,     ///< Hugging Face transformers (generation/logits_process.py)
  kLlama,  ///< llama.cpp (src/llama-sampler.cpp)
};

}  // namespace surprisal
