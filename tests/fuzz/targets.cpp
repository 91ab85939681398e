#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "lib/bpe_tokenizer.h"
#include "lib/error.h"
#include "lib/jinja.h"
#include "lib/json.h"
#include "lib/safetensors.h"
#include "lib/sentencepiece_tokenizer.h"
#include "lib/tokenizer_json.h"
#include "lib/yaml.h"
#include "models/config.h"
#include "tests/fuzz/trace_recipe.h"

namespace surprisal::fuzz {
namespace {

/// Touches every byte, so that a range outside of the input is caught; the sum keeps the reads.
void touch(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += static_cast<unsigned>(byte);
  [[maybe_unused]] static volatile unsigned sink;
  sink = sum;
}

void read_safetensors(std::string_view input) {
  // A copy of exactly this size, so that a sanitizer sees a read past the end.
  const std::vector<char> copy(input.begin(), input.end());
  const auto bytes = std::as_bytes(std::span(copy));
  for (const auto& [name, entry] : parse_safetensors(bytes, "input"))
    touch(bytes.subspan(entry.begin, entry.end - entry.begin));
}

void read_model_config(std::string_view input) {
  parse_model_config(parse_json(input, "input"), "input").context_length();
}

void use(const Tokenizer& tokenizer) {
  for (const char* text :
       {"Hello world, it's 2024!  \n\n caf\u00e9 <s><|im_end|>", "\xff\xc3 ab\0", ""})
    for (const bool special : {false, true})
      tokenizer.decode(tokenizer.encode(text, special, special), special);
}

void read_tokenizer(std::string_view input) {
  use(BpeTokenizer(parse_tokenizer_json(input, "input"), {}));
}

void read_sentencepiece(std::string_view input) {
  use(SentencePieceTokenizer(std::string(input), {}, {}));
}

void read_jinja(std::string_view input) {
  const auto message = [](const char* role, const char* content) {
    return jinja::Value(jinja::Dict{{"role", role}, {"content", content}});
  };
  jinja::Template(input).render(
      {{"messages", jinja::List{message("system", "Be."), message("user", " Hi\n"),
                                message("assistant", ""), message("user", "{{ x }}")}},
       {"add_generation_prompt", true},
       {"bos_token", "<s>"},
       {"eos_token", "</s>"},
       {"tools", jinja::None{}}});
}

void read_yaml(std::string_view input) {
  const YAML::Node node = parse_yaml(std::string(input), "input");
  yaml_place("input", node);
}

template <void (*read)(std::string_view)>
bool accepts(std::string_view input) {
  try {
    read(input);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string reshape_bytes(Mutator& mutator, const std::string& input) {
  return mutator.bytes(input);
}

std::string reshape_json(Mutator& mutator, const std::string& input) {
  return mutator.json_text(input);
}

/// Changes the header of a safetensors file and gives it its right length.
std::string reshape_safetensors(Mutator& mutator, const std::string& input) {
  uint64_t size = 0;
  if (input.size() < sizeof size) return mutator.bytes(input);
  std::memcpy(&size, input.data(), sizeof size);
  if (size > input.size() - sizeof size) return mutator.bytes(input);
  const std::string header = mutator.json_text(input.substr(sizeof size, size));
  const uint64_t new_size = header.size();
  std::string output(sizeof new_size, '\0');
  std::memcpy(output.data(), &new_size, sizeof new_size);
  return output + header + input.substr(sizeof size + size);
}

constexpr std::array kTargets = {
    Target{"jinja", accepts<read_jinja>, reshape_bytes},
    Target{"model_config", accepts<read_model_config>, reshape_json},
    Target{"safetensors", accepts<read_safetensors>, reshape_safetensors},
    Target{"sentencepiece", accepts<read_sentencepiece>, reshape_bytes},
    Target{"tokenizer", accepts<read_tokenizer>, reshape_json},
    Target{"trace", accepts<read_trace_recipe>, reshape_json},
    Target{"yaml", accepts<read_yaml>, reshape_bytes},
};

}  // namespace

std::span<const Target> targets() {
  return kTargets;
}

const Target& target(std::string_view name) {
  return *std::ranges::find(kTargets, name, &Target::name);
}

}  // namespace surprisal::fuzz
