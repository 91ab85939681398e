#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/added_tokens.h"
#include "lib/json.h"

namespace surprisal {

/// What the small files beside a tokenizer say: tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json. All are optional.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<std::string> unk_token;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
  std::optional<bool> legacy;  ///< sentencepiece: a prefix space after special tokens too
  std::optional<bool> add_prefix_space;
  std::vector<AddedToken> added_tokens;  ///< by id
  int64_t model_vocab_size = 0;          ///< of config.json, 0 when it does not say
};

/// @throws Error(kIo, kFormat) when a file is there and cannot be read or is not as expected
TokenizerConfig read_tokenizer_config(const std::string& folder);

/// Reads one added token's content and flags from JSON; the id is left to the caller.
/// @param where  for messages
/// @throws Error(kFormat)
AddedToken read_added_token(const nlohmann::json& value, const std::string& where);

}  // namespace surprisal
