#pragma once

#include <span>
#include <string>
#include <string_view>

#include "experiments/task.h"

namespace surprisal {

/// A worked example: what the user asks, and what the assistant answers.
struct Shot {
  std::string question;
  std::string answer;
};

/// Fills `problem.messages` and `problem.prompt` as lm-evaluation-harness builds them
/// (lm_eval/api/task.py: fewshot_context, build_qa_turn). As messages, each example is a user turn
/// and an assistant turn, and delimiters are dropped (--apply_chat_template
/// --fewshot_as_multiturn). As plain text, an example is question, target delimiter, answer, blank
/// line; the question asked stands last, with nothing behind it.
void ask(Problem& problem, std::span<const Shot> shots, std::string_view question,
         std::string_view target_delimiter);

}  // namespace surprisal
