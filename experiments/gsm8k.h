#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/task.h"

namespace surprisal {

/// The GSM8K tasks of lm-evaluation-harness 0.4.13, prompt for prompt and verdict for verdict:
/// gsm8k, gsm8k_cot, gsm8k_cot_llama, gsm8k_cot_zeroshot, gsm8k_llama.
std::vector<std::string> gsm8k_task_names();

/// One line about a task of that name, for `--list tasks`.
std::string gsm8k_task_summary(const std::string& name);

/// Reads `<split>.jsonl` (split: test or train; fields `question` and `answer`) of the data folder,
/// and what the task's examples come from: `fewshot_cot.jsonl`, `fewshot_cot_llama.jsonl` (fields
/// `question` and `target`), or `train.jsonl` for `gsm8k`, which draws five for every problem.
/// @throws Error(kUnknownName), Error(kConfig), Error(kIo), Error(kFormat) with file:line
std::unique_ptr<Task> make_gsm8k_task(const std::string& name, const TaskOptions& options);

}  // namespace surprisal
