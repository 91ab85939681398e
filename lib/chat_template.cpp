#include "lib/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "lib/chat_formats.h"
#include "lib/files.h"
#include "lib/jinja.h"
#include "lib/json.h"
#include "lib/json_place.h"

namespace surprisal {
namespace {

constexpr size_t kMaxTemplateBytes = 1 << 20;
constexpr JsonLimits kConfigLimits{.bytes = 32 << 20, .depth = 64};
constexpr const char* kOwnFormatFile = "surprisal_chat_format.json";

std::string known_names() {
  std::string names;
  for (const ChatFormat& format : chat_formats())
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  return names;
}

Error unknown_template(const std::string& where, const std::string& problem) {
  return {ErrorCode::kUnsupported,
          where + ": " + problem + ". Supply one as a file " + kOwnFormatFile +
              " in the model's folder: {\"format\": NAME} with NAME one of " + known_names() +
              ", or {\"template\": \"...\"} with a Jinja template"};
}

/// bos_token, eos_token, ... as the template's variables.
jinja::Dict special_tokens(const std::string& folder) {
  jinja::Dict tokens;
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string path = folder + "/" + file;
    if (!std::filesystem::exists(path)) continue;
    const nlohmann::json json =
        parse_large_json(read_file(path, kConfigLimits.bytes), path, kConfigLimits);
    const JsonPlace place(json, path + ":");
    for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      const auto token = place.find(name);
      const bool known =
          std::ranges::find(tokens, name, &jinja::Dict::value_type::first) != tokens.end();
      if (!token || known) continue;
      tokens.emplace_back(
          name, token->value().is_object() ? token->at("content").string() : token->string());
    }
  }
  return tokens;
}

/// The template called "default" of tokenizer_config.json, which may hold one or a list of them.
std::optional<std::string> configured_template(const std::string& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const nlohmann::json json =
      parse_large_json(read_file(path, kConfigLimits.bytes), path, kConfigLimits);
  const auto place = JsonPlace(json, path + ":").find("chat_template");
  if (!place) return std::nullopt;
  if (place->value().is_string()) return place->string();
  for (size_t i = 0; i < place->array_size(); ++i)
    if (place->element(i).at("name").string() == "default")
      return place->element(i).at("template").string();
  return std::nullopt;
}

const ChatFormat* recognise(const std::string& text) {
  const auto found = std::ranges::find_if(chat_formats(), [&](const ChatFormat& format) {
    return std::ranges::all_of(format.markers, [&](std::string_view marker) {
      return text.find(marker) != std::string::npos;
    });
  });
  return found == chat_formats().end() ? nullptr : &*found;
}

class JinjaChatTemplate : public ChatTemplate {
 public:
  JinjaChatTemplate(std::string name, std::string where, const std::string& text,
                    jinja::Dict tokens)
      : name_(std::move(name)), where_(std::move(where)), tokens_(std::move(tokens)) {
    try {
      template_.emplace(text);
    } catch (const Error& error) {
      throw explained(error);
    }
  }

  std::string render(std::span<const ChatMessage> messages,
                     bool add_generation_prompt) const override {
    if (messages.empty())
      throw Error(ErrorCode::kConfig, where_ + ": a conversation needs at least one message");
    jinja::List list;
    for (const ChatMessage& message : messages)
      list.emplace_back(jinja::Dict{{"role", message.role}, {"content", message.content}});
    jinja::Dict variables = tokens_;
    variables.emplace_back("messages", std::move(list));
    variables.emplace_back("tools", jinja::None{});
    variables.emplace_back("documents", jinja::None{});
    variables.emplace_back("add_generation_prompt", add_generation_prompt);
    try {
      return template_->render(variables);
    } catch (const Error& error) {
      throw explained(error);
    }
  }

  std::string name() const override { return name_; }

 private:
  Error explained(const Error& error) const {
    const std::string message = "chat template (" + name_ + "): " + error.what();
    if (error.code() == ErrorCode::kUnsupported) return unknown_template(where_, message);
    return {error.code(), where_ + ": " + message};
  }

  std::string name_;
  std::string where_;
  jinja::Dict tokens_;
  std::optional<jinja::Template> template_;
};

std::unique_ptr<ChatTemplate> own_format(const std::string& folder, const std::string& path) {
  const nlohmann::json json =
      parse_large_json(read_file(path, kConfigLimits.bytes), path, kConfigLimits);
  const JsonPlace place(json, path + ":");
  if (const auto text = place.find("template"))
    return std::make_unique<JinjaChatTemplate>("own", path, text->string(), special_tokens(folder));
  const std::string& name = place.at("format").string();
  const auto found = std::ranges::find(chat_formats(), name, &ChatFormat::name);
  if (found == chat_formats().end())
    throw unknown_name_error("chat format", name, chat_format_names(), path);
  return std::make_unique<JinjaChatTemplate>(name, path, std::string(found->plain_template),
                                             special_tokens(folder));
}

}  // namespace

std::vector<std::string> chat_format_names() {
  std::vector<std::string> names;
  for (const ChatFormat& format : chat_formats()) names.emplace_back(format.name);
  return names;
}

std::unique_ptr<ChatTemplate> load_chat_template(const std::string& folder) {
  if (const std::string path = folder + "/" + kOwnFormatFile; std::filesystem::exists(path))
    return own_format(folder, path);
  std::string path = folder + "/chat_template.jinja";
  std::optional<std::string> text;
  if (std::filesystem::exists(path)) {
    text = read_file(path, kMaxTemplateBytes);
  } else {
    path = folder + "/tokenizer_config.json";
    text = configured_template(path);
  }
  if (!text) throw unknown_template(folder, "the model has no chat template");
  const ChatFormat* format = recognise(*text);
  if (format == nullptr)
    throw unknown_template(
        path, "the chat template is of none of the known formats (" + known_names() + ")");
  return std::make_unique<JinjaChatTemplate>(std::string(format->name), path, *text,
                                             special_tokens(folder));
}

}  // namespace surprisal
