// Answers one prompt with any sampler, and shows why each token was chosen.

#include <ATen/Parallel.h>

#include "experiments/engine.h"
#include "experiments/retrieval/retriever.h"
#include "experiments/sample.h"
#include "experiments/stop_strings.h"
#include "experiments/strategies/strategy.h"
#include "lib/chat_template.h"
#include "lib/json.h"
#include "lib/sha256.h"
#include "tools/ask_person.h"
#include "tools/program.h"

namespace surprisal {
namespace {

struct Options {
  std::string model, prompt, sampler = "{type: greedy}", dtype = "auto", device = "auto",
                             ask = "auto", retriever;
  uint64_t seed = 0;
  int64_t max_new_tokens = 256;
  int threads = 0;
  bool chat = false, json = false;
};

template <typename Enum, size_t N>
std::string name_of(const std::string_view (&names)[N], Enum value) {
  return std::string(names[static_cast<size_t>(value)]);
}

Json token_json(const TokenRecord& token, const Tokenizer& tokenizer) {
  const TokenId id = token.token_id;
  return {{"position", token.position},
          {"token_id", id},
          {"text", tokenizer.decode({&id, 1})},
          {"source", name_of(kSourceNames, token.source)},
          {"state", name_of(kStateNames, token.state)},
          {"action", name_of(kActionNames, token.action)},
          {"gate", name_of(kGateNames, token.gate)},
          {"entropy", number_or_null(token.entropy)},
          {"varentropy", number_or_null(token.varentropy)},
          {"max_probability", number_or_null(token.max_probability)},
          {"logprob", number_or_null(token.logprob)},
          {"rank", token.rank},
          {"temperature", number_or_null(token.temperature)},
          {"kept", token.kept},
          {"attention_entropy", number_or_null(token.attention_entropy)},
          {"attention_agreement", number_or_null(token.attention_agreement)}};
}

int generate(const Options& options) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  const auto tokenizer = load_tokenizer(options.model);
  const auto model = load_model(options.model, {.dtype = options.dtype, .device = options.device});
  const SamplerContext context{.tokenizer = tokenizer.get(),
                               .vocab_size = model->config().vocab_size,
                               .stop_tokens = stop_tokens(model->config(), *tokenizer)};
  Json resolved;
  YAML::Node strategy;
  const YAML::Node own = without_strategy(parse_yaml(options.sampler, "--sampler"), &strategy);
  if (!strategy.IsNull())
    throw Error(ErrorCode::kConfig,
                "--sampler: generate shows one answer as it comes; a strategy of several belongs "
                "to an experiment (run_experiment configs/self_consistency.yaml)");
  const auto sampler =
      create_sampler(builtin_samplers(), own, "--sampler", "--sampler", context, &resolved);

  std::string prompt = options.prompt;
  if (options.chat) {
    const ChatMessage message{"user", options.prompt};
    prompt = load_chat_template(options.model)->render({&message, 1}, true);
  }
  GenerationRequest request;
  request.prompt = tokenizer->encode(prompt, /*parse_special=*/true, /*add_special=*/!options.chat);
  request.sampler = sampler.get();
  request.draws_key = draws_key(options.seed, sha256_hex(prompt), 0);
  request.max_new_tokens = options.max_new_tokens;
  std::unique_ptr<Retriever> retriever;
  if (!options.retriever.empty()) {
    retriever = create_retriever(builtin_retrievers(), parse_yaml(options.retriever, "--retriever"),
                                 "--retriever", nullptr);
    request.retrieve = [&](const std::string& query) { return retriever->retrieve(query); };
  }
  const bool to_a_person = options.ask == "person" || (options.ask == "auto" && person_is_there());
  request.ask = to_a_person             ? ask_person()
                : options.ask == "auto" ? ask_policy("best")
                                        : ask_policy(options.ask);
  request.stop_tokens = context.stop_tokens;

  TextStream stream(*tokenizer, /*skip_special=*/true);
  Engine engine(*model, *tokenizer, {.batch = 1});
  GenerationResult result;
  bool given = false;
  engine.run(
      [&]() -> std::optional<GenerationRequest> {
        if (std::exchange(given, true)) return std::nullopt;
        return request;
      },
      [&](GenerationResult finished) { result = std::move(finished); }, [] { return false; },
      [&](int64_t, TokenId token, const TokenRecord&) {
        if (!options.json) std::cout << stream.push(token) << std::flush;
      });

  if (!options.json) {
    std::cout << stream.finish() << "\n";
    return 0;
  }
  Json tokens = Json::array();
  for (const TokenRecord& token : result.tokens) tokens.push_back(token_json(token, *tokenizer));
  Json events = Json::array();
  for (const EventRecord& event : result.events)
    events.push_back({{"position", event.position},
                      {"kind", name_of(kEventNames, event.kind)},
                      {"detail", event.detail}});
  std::cout << dump_line({{"prompt", prompt},
                          {"response", result.response},
                          {"stop_reason", name_of(kStopReasonNames, result.stop_reason)},
                          {"sampler", resolved},
                          {"seed", options.seed},
                          {"prompt_tokens", result.prompt_tokens},
                          {"generated_tokens", result.generated_tokens},
                          {"token_evaluations", result.cost.token_evaluations},
                          {"events", events},
                          {"tokens", tokens}})
            << "\n";
  return 0;
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  surprisal::Options options;
  return surprisal::run_program(
      argc, argv,
      "Continues a prompt with any sampler.\n\nExample:\n  generate "
      "data/models/SmolLM2-135M-Instruct --chat --prompt 'What is 17 + 25?' \\\n"
      "    --sampler '{type: quadrant}' --json",
      [&](CLI::App& app) {
        app.add_option("model", options.model, "Hugging Face model folder")->required();
        app.add_option("--prompt", options.prompt, "Text to continue")->required();
        app.add_option("--sampler", options.sampler,
                       "The sampler as YAML, e.g. '{type: chain, steps: [{temperature: 0.7}]}'")
            ->capture_default_str();
        app.add_option("--seed", options.seed, "Seed of the random draws")->capture_default_str();
        app.add_option("--max-new-tokens", options.max_new_tokens, "Longest answer, in tokens")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
        app.add_option("--dtype", options.dtype, "float32, bfloat16, float16, int8 (weights) or auto")
            ->capture_default_str();
        app.add_option("--device", options.device, "cpu, cuda, cuda:N or auto")
            ->capture_default_str();
        app.add_option("--threads", options.threads, "Threads of the model (default: all cores)")
            ->check(CLI::PositiveNumber);
        app.add_option("--retriever", options.retriever,
                       "What retrievals are answered from, as YAML: '{type: calculator}', "
                       "'{type: corpus, folder: notes/}'");
        app.add_option(
               "--ask", options.ask,
               "Who answers the sampler's questions: person (at this terminal), best, first "
               "or random; auto: a person where there is one, else best")
            ->check(CLI::IsMember({"auto", "person", "best", "first", "random"}))
            ->capture_default_str();
        app.add_flag("--chat", options.chat, "Ask through the model's chat template");
        app.add_flag("--json", options.json, "Print one JSON object with every token's statistics");
      },
      [&] { return surprisal::generate(options); });
}
