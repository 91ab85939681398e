#include "samplers/read_token.h"

#include <charconv>

namespace surprisal {

TokenId read_token(const std::string& text, const std::string& name, const ParamReader& params,
                   const SamplerContext& context) {
  TokenId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (id < 0 || (context.vocab_size > 0 && id >= context.vocab_size))
      throw params.error(name, "token " + text + " is outside the vocabulary");
    return id;
  }
  if (context.tokenizer == nullptr)
    throw params.error(name,
                       "expected token ids; texts need a model's tokenizer, found '" + text + "'");
  const auto tokens = context.tokenizer->encode(text, true, false);
  if (tokens.size() != 1)
    throw params.error(name, "expected token ids or texts of one token; '" + text + "' is " +
                                 std::to_string(tokens.size()));
  return tokens[0];
}

}  // namespace surprisal
