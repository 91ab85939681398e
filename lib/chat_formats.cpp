#include "lib/chat_formats.h"

namespace surprisal {

const std::vector<ChatFormat>& chat_formats() {
  static const std::vector<ChatFormat> formats = {
      {"chatml",
       {"<|im_start|>", "<|im_end|>", "messages"},
       R"({% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{{ '' }}{% endfor %}
{% if add_generation_prompt %}<|im_start|>assistant
{{ '' }}{% endif %})"},
      {"llama-3",
       {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "messages"},
       R"({% for m in messages %}
{{ bos_token if loop.first }}<|start_header_id|>{{ m.role }}<|end_header_id|>

{{ m.content | trim }}<|eot_id|>{% endfor %}
{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>

{{ '' }}{% endif %})"},
      {"llama-2",
       {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "messages"},
       R"({% set system = messages[0].content if messages[0].role == 'system' else none %}
{% for m in (messages[1:] if system is not none else messages) %}
{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('user and assistant must take turns after an optional system message') }}
{% endif %}
{% if m.role == 'user' %}
{% set opening = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' if loop.first and system is not none else '' %}
{{ bos_token }}[INST] {{ (opening + m.content).strip() }} [/INST]
{%- else %} {{ m.content.strip() }} {{ eos_token }}{% endif %}
{% endfor %})"},
      {"mistral",
       {"[INST]", "[/INST]", "messages"},
       R"({{ bos_token }}{% for m in messages %}
{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('user and assistant must take turns') }}
{% endif %}
{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]
{%- else %}{{ m.content }}{{ eos_token }}{% endif %}
{% endfor %})"},
      {"zephyr",
       {"<|user|>", "<|assistant|>", "eos_token", "messages"},
       R"({% for m in messages %}<|{{ m.role }}|>
{{ m.content }}{{ eos_token }}
{{ '' }}{% endfor %}
{% if add_generation_prompt %}<|assistant|>
{{ '' }}{% endif %})"},
  };
  return formats;
}

}  // namespace surprisal
