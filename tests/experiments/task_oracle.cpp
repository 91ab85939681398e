// Lets a script compare our tasks, scorers and stop rules with lm-evaluation-harness. Prints JSON
// lines.
//   task_oracle problems TASK DATA SPLIT           every problem, prompts included
//   task_oracle stepwise SPLIT N SEED LEVEL...     the same of a generated set
//   task_oracle score                              reads {"pattern","response","target"}
//   task_oracle cut                                reads {"text","stops"}
//   task_oracle sample SEED SIZE COUNT TIMES       indices drawn as Python's random.sample does
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "experiments/gsm8k.h"
#include "experiments/python_random.h"
#include "experiments/scorers.h"
#include "experiments/stepwise.h"
#include "experiments/stop_strings.h"
#include "lib/error.h"
#include "lib/json.h"

namespace surprisal {
namespace {

void print_problems(const Task& task) {
  for (const Problem& problem : task.problems()) {
    Json messages = Json::array();
    for (const ChatMessage& message : problem.messages)
      messages.push_back({{"role", message.role}, {"content", message.content}});
    Json line = {{"doc_id", problem.doc_id},     {"prompt", problem.prompt},
                 {"messages", messages},         {"target", problem.target},
                 {"stops", task.stop_strings()}, {"max_new_tokens", task.default_max_new_tokens()}};
    for (const auto& [key, value] : problem.tags) line[key] = value;
    std::cout << dump_line(line) << '\n';
  }
}

Json score_line(const Json& line) {
  static const std::map<std::string, AnswerPattern> patterns = {
      {"gsm8k", kHashesAnswer},
      {"gsm8k_cot", kCotAnswer},
      {"gsm8k_cot_zeroshot", kCotAnswer},
      {"gsm8k_cot_llama", kCotLlamaAnswer},
      {"gsm8k_llama", kLlamaAnswer}};
  const Score score =
      score_answer(patterns.at(line.at("pattern")), line.at("response").get<std::string>(),
                   line.at("target").get<std::string>());
  return {{"extracted_strict", score.extracted_strict},
          {"extracted_flexible", score.extracted_flexible},
          {"extracted_numeric", score.extracted_numeric},
          {"strict", score.strict},
          {"flexible", score.flexible},
          {"numeric", score.numeric}};
}

Json cut_line(const Json& line) {
  const auto text = line.at("text").get<std::string>();
  const auto stops = line.at("stops").get<std::vector<std::string>>();
  return {{"cut", text.substr(0, stop_cut(text, stops))}};
}

int run(const std::vector<std::string>& arguments) {
  const std::string mode = arguments.empty() ? "" : arguments[0];
  if (mode == "problems" && arguments.size() == 4) {
    print_problems(*make_gsm8k_task(arguments[1], {.data = arguments[2], .split = arguments[3]}));
  } else if (mode == "stepwise" && arguments.size() > 4) {
    StepwiseOptions options{.split = arguments[1],
                            .levels = {},
                            .n_per_level = std::stoll(arguments[2]),
                            .generator_seed = std::stoull(arguments[3])};
    for (size_t i = 4; i < arguments.size(); ++i)
      options.levels.push_back(std::stoll(arguments[i]));
    print_problems(*make_stepwise_task(options));
  } else if (mode == "sample" && arguments.size() == 5) {
    PythonRandom random(static_cast<uint32_t>(std::stoul(arguments[1])));
    for (int64_t i = 0; i < std::stoll(arguments[4]); ++i)
      std::cout << dump_line(random.sample(std::stoull(arguments[2]), std::stoull(arguments[3])))
                << '\n';
  } else if (mode == "score" || mode == "cut") {
    for (std::string line; std::getline(std::cin, line);) {
      const Json parsed = parse_json(line, "standard input");
      std::cout << dump_line(mode == "score" ? score_line(parsed) : cut_line(parsed)) << '\n';
    }
  } else {
    std::cerr << "usage: task_oracle problems|stepwise|score|cut|sample ...\n";
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  try {
    return surprisal::run({argv + 1, argv + argc});
  } catch (const surprisal::Error& error) {
    std::cerr << error.what() << '\n';
    return surprisal::exit_status(error.code());
  }
}
