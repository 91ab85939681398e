#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/chat_template.h"
#include "lib/json.h"
#include "lib/params.h"
#include "lib/registry.h"

namespace surprisal {

/// One problem as a task asks it.
struct Problem {
  int64_t doc_id = 0;                 ///< index in the split's file, or the generator's number
  std::string question_sha256;        ///< of the question's text: identifies it across runs
  std::vector<ChatMessage> messages;  ///< few-shot turns and the question, for chat models
  std::string prompt;                 ///< the same as plain text, for base models
  std::string target;                 ///< the reference answer as the benchmark stores it
  std::vector<std::pair<std::string, Json>> tags;  ///< e.g. template_id, level
};

/// Extractions and verdicts of one response.
struct Score {
  std::string extracted_strict, extracted_flexible, extracted_numeric;  ///< "[invalid]" if none
  bool strict = false, flexible = false, numeric = false;
  bool valid = false;  ///< an answer could be extracted at all (numeric scorer)
};

/// What the runner tells a task about where its data is.
struct TaskOptions {
  std::string data;  ///< folder, "" if the task needs none
  std::string split = "test";
  bool chat_template = true;
};

/// A benchmark: problems in a fixed order, stop strings, and scoring.
class Task {
 public:
  virtual ~Task() = default;
  virtual const std::vector<Problem>& problems() const = 0;
  virtual const std::vector<std::string>& stop_strings() const = 0;
  virtual int64_t default_max_new_tokens() const = 0;
  /// @param response  the model's own text (injected and retrieved spans left out)
  virtual Score score(const Problem& problem, const std::string& response) const = 0;
  /// Version of the task's rules, part of a cell's identity: "gsm8k_cot v3".
  virtual std::string version() const = 0;
  /// SHA-256 of the data the problems came from (for generated tasks: of the problems themselves).
  virtual std::string data_sha256() const = 0;
};

struct TaskEntry {
  std::string summary;
  /// Reads the task's own keys from the `task:` map (the common ones are the runner's), then makes
  /// the task; null on a describing reader, for which there is no data to read.
  std::function<std::unique_ptr<Task>(ParamReader&, const TaskOptions&)> create;
};
using TaskRegistry = Registry<TaskEntry>;

/// The five of GSM8K, stepwise, math500, arc_challenge, mmlu_pro, mgsm, and jsonl for any local
/// file.
TaskRegistry builtin_tasks();

}  // namespace surprisal
