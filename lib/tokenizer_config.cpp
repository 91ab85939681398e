#include "lib/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "lib/files.h"
#include "lib/json_place.h"

namespace surprisal {
namespace {

constexpr JsonLimits kConfigLimits{.bytes = 32 << 20, .depth = 64};

/// A file's JSON, or null when there is no such file.
nlohmann::json read_optional(const std::string& path) {
  if (!std::filesystem::exists(path)) return nullptr;
  return parse_large_json(read_file(path, kConfigLimits.bytes), path, kConfigLimits);
}

/// "<s>" or {"content": "<s>", ...}
std::optional<std::string> token_text(const JsonPlace& file, std::string_view key) {
  const auto member = file.find(key);
  if (!member) return std::nullopt;
  return member->value().is_object() ? member->at("content").string() : member->string();
}

std::optional<bool> optional_boolean(const JsonPlace& file, std::string_view key) {
  const auto member = file.find(key);
  return member ? std::optional(member->boolean()) : std::nullopt;
}

TokenId read_id(const std::string& text, const JsonPlace& place) {
  TokenId id = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (failure != std::errc() || end != text.data() + text.size() || id < 0)
    throw place.error(ErrorCode::kFormat, "expected a token id, found '" + text + "'");
  return id;
}

void read_main_file(const JsonPlace& file, TokenizerConfig& config) {
  config.bos_token = token_text(file, "bos_token");
  config.eos_token = token_text(file, "eos_token");
  config.unk_token = token_text(file, "unk_token");
  config.add_bos_token = optional_boolean(file, "add_bos_token");
  config.add_eos_token = optional_boolean(file, "add_eos_token");
  config.legacy = optional_boolean(file, "legacy");
  config.add_prefix_space = optional_boolean(file, "add_prefix_space");
  if (const auto added = file.find("added_tokens_decoder")) {
    for (const auto& [key, value] : added->object()) {
      const JsonPlace place = added->at(key);
      config.added_tokens.push_back(read_added_token(value, place.where()));
      config.added_tokens.back().id = read_id(key, place);
    }
  }
}

/// The old form of added tokens: {"<pad>": 32000}, without flags.
void read_old_added_tokens(const JsonPlace& file, TokenizerConfig& config) {
  for (const auto& [content, id] : file.object()) {
    AddedToken token;
    token.content = content;
    token.id = static_cast<TokenId>(file.at(content).integer(0, INT32_MAX));
    token.special =
        content == config.bos_token || content == config.eos_token || content == config.unk_token;
    config.added_tokens.push_back(token);
  }
}

}  // namespace

AddedToken read_added_token(const nlohmann::json& value, const std::string& where) {
  const JsonPlace place(value, where);
  AddedToken token;
  token.content = place.at("content").string();
  token.single_word = place.boolean_or("single_word", false);
  token.lstrip = place.boolean_or("lstrip", false);
  token.rstrip = place.boolean_or("rstrip", false);
  token.special = place.boolean_or("special", false);
  token.normalized = place.boolean_or("normalized", !token.special);
  return token;
}

TokenizerConfig read_tokenizer_config(const std::string& folder) {
  TokenizerConfig config;
  const auto with = [&](const char* name, const auto& use) {
    const std::string path = folder + "/" + name;
    const nlohmann::json json = read_optional(path);
    if (!json.is_null()) use(JsonPlace(json, path + ":"));
  };
  with("tokenizer_config.json", [&](const JsonPlace& file) { read_main_file(file, config); });
  with("special_tokens_map.json", [&](const JsonPlace& file) {
    if (!config.bos_token) config.bos_token = token_text(file, "bos_token");
    if (!config.eos_token) config.eos_token = token_text(file, "eos_token");
    if (!config.unk_token) config.unk_token = token_text(file, "unk_token");
  });
  if (config.added_tokens.empty())
    with("added_tokens.json", [&](const JsonPlace& file) { read_old_added_tokens(file, config); });
  with("config.json", [&](const JsonPlace& file) {
    if (const auto size = file.find("vocab_size"))
      config.model_vocab_size = size->integer(0, INT32_MAX);
  });
  std::ranges::sort(config.added_tokens, {}, &AddedToken::id);
  return config;
}

}  // namespace surprisal
