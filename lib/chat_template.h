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
/// Llama-3, Zephyr/TinyLlama, Mistral. Renders byte for byte what the template would.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  /// @param add_generation_prompt  end with the opening of an assistant turn
  /// @throws Error(kConfig) on a role or an order of roles that the format refuses
  virtual std::string render(std::span<const ChatMessage> messages,
                             bool add_generation_prompt) const = 0;
  virtual std::string name() const = 0;
};

/// The chat template of a Hugging Face folder (chat_template.jinja, or in tokenizer_config.json).
/// @throws Error(kUnsupported) when there is none or it is not recognised; the message says how to
///         supply one (a file `surprisal_chat_format.json` with {"format": NAME}).
std::unique_ptr<ChatTemplate> load_chat_template(const std::string& folder);

}  // namespace surprisal
