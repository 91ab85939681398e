#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lib/bpe_tokenizer.h"
#include "lib/json_place.h"

namespace surprisal {

/// Reads a tokenizer.json of Hugging Face `tokenizers` (format 1.0) whose model is BPE. What it
/// does not know exactly it refuses, by name: a tokenizer that is nearly right is wrong.
/// @throws Error(kIo), Error(kFormat), Error(kUnsupported)
BpeTokenizerParts read_tokenizer_json(const std::string& path);
/// The same from the file's text. @param where  its name, for messages
BpeTokenizerParts parse_tokenizer_json(std::string_view text, const std::string& where);

/// The added tokens alone.
std::vector<AddedToken> read_tokenizer_json_added_tokens(const std::string& path);

/// The parts between text and model, and back. Null is a step that does nothing.
std::vector<NormalizerStep> read_normalizer(const JsonPlace& place);

struct PreTokenizerPlan {
  std::vector<PreTokenizerStep> steps;
  bool byte_level = false;  ///< ends by writing bytes as characters
};
PreTokenizerPlan read_pre_tokenizer(const JsonPlace& place);

struct DecoderPlan {
  std::vector<ReplaceText> replacements;
  DecodeRules rules;
  bool byte_level = false;
};
DecoderPlan read_decoder(const JsonPlace& place);

}  // namespace surprisal
