#include "experiments/prompt.h"

namespace surprisal {

void ask(Problem& problem, std::span<const Shot> shots, std::string_view question,
         std::string_view target_delimiter) {
  constexpr std::string_view kShotDelimiter = "\n\n";
  problem.messages.clear();
  problem.prompt.clear();
  for (const Shot& shot : shots) {
    problem.messages.push_back({"user", shot.question});
    problem.messages.push_back({"assistant", shot.answer});
    problem.prompt.append(shot.question).append(target_delimiter);
    problem.prompt.append(shot.answer).append(kShotDelimiter);
  }
  problem.messages.push_back({"user", std::string(question)});
  problem.prompt.append(question);
}

}  // namespace surprisal
