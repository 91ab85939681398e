#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace surprisal {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

/// A chat format recognised from its Jinja template's text: ChatML (SmolLM2, Qwen2.5), Llama-2,
/// Llama-3, Zephyr/TinyLlama, Mistral. Renders byte for byte what the template would, by carrying
/// the template out. No tools, no documents, and no clock: a template that asks for today's date
/// (Llama-3.2) gets the fixed date it falls back to ("26 Jul 2024").
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// @param add_generation_prompt  end with the opening of an assistant turn
  /// @throws Error(kConfig) on a role or an order of roles that the format refuses;
  ///         Error(kUnsupported) on a construct of the template that this build does not know
  virtual std::string render(std::span<const ChatMessage> messages,
                             bool add_generation_prompt) const = 0;
  /// "chatml", "llama-2", "llama-3", "zephyr", "mistral" or "own"
  virtual std::string name() const = 0;
};

/// The chat template of a Hugging Face folder (chat_template.jinja, or in tokenizer_config.json).
/// A file `surprisal_chat_format.json` there goes before it: {"format": NAME} for one of the
/// formats as this toolkit writes it, or {"template": "Jinja text"} for one's own.
/// @throws Error(kUnsupported) when there is none or it is not recognised; the message says how to
///         supply one. Error(kFormat) when it cannot be parsed.
std::unique_ptr<ChatTemplate> load_chat_template(const std::string& folder);

/// The formats that surprisal_chat_format.json may name.
std::vector<std::string> chat_format_names();

}  // namespace surprisal
