#pragma once

#include <string>

#include "samplers/sampler.h"

namespace surprisal {

/// A token named in a configuration: its id, or a text that the tokenizer makes one token of
/// (digits are an id). @param name  of the parameter, for messages
/// @throws Error(kConfig) on an id outside the vocabulary, on a text of several tokens, and on any
/// text where there is no tokenizer
TokenId read_token(const std::string& text, const std::string& name, const ParamReader& params,
                   const SamplerContext& context);

}  // namespace surprisal
