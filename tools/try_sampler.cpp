#include "samplers/trial.h"
#include "tools/program.h"

using namespace surprisal;

namespace {

/// One line in, one line out; an error is a result, and the next line is processed.
Json answer(const std::string& line, size_t number, const SamplerRegistry& registry) {
  try {
    const std::string where = "line " + std::to_string(number);
    return run_trial(parse_json(quote_non_finite(line), where), registry, {});
  } catch (const Error& error) {
    return {{"error", {{"code", error_code_name(error.code())}, {"message", error.what()}}}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program(
      argc, argv,
      "Runs samplers on rows of logits: JSON lines on stdin, one result a line on stdout.\n"
      "A line: {\"logits\": [..] | \"probs\": [..], \"history\": [..], \"prompt_length\": n,\n"
      "\"attention_scores\": [[..]], \"valid_slots\": n, \"seed\": n, \"sampler\": {\"type\": "
      "..}},\n"
      "or {\"sampler\": .., \"steps\": [{..}, {..}]} to carry the sampler's state through "
      "several.\n"
      "A banned token's logit is null, \"-inf\" or -Infinity. See samplers/trial.h.",
      [](CLI::App&) {},
      [] {
        const SamplerRegistry registry = builtin_samplers();
        std::string line;
        for (size_t number = 1; std::getline(std::cin, line); ++number) {
          if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
          std::cout << dump_line(answer(line, number, registry)) << std::endl;
        }
        return 0;
      });
}
