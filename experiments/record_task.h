#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "experiments/task.h"

namespace surprisal {

/// How an answer is judged.
enum class AnswerScorer {
  kNumeric,  ///< equal as exact numbers (numeric_answer.h)
  kChoice,   ///< the letter of a choice
  kBoxed,    ///< the content of \boxed{}, by the MATH benchmark's spelling (latex_answer.h)
  kRegex,    ///< what `extract` finds, as text without regard to ASCII case and outer white space
};
inline constexpr std::string_view kAnswerScorerNames[] = {"numeric", "choice", "boxed", "regex"};

/// A benchmark whose problems are records of a JSON-lines file. Fields are named by dotted paths
/// ("choices.text").
///
/// The three verdicts of a Score: `strict` is on what `extract` finds (for boxed without `extract`:
/// the last \boxed{}); `flexible` and `numeric` are on what our own kinder rule finds (the last
/// number; numeric_answer(); the letter after the last "answer is"; \boxed{} or else the number).
struct RecordTaskSpec {
  std::string name = {}, version = {};
  std::string file = {};     ///< below the data folder; "{split}" stands for the split
  std::string prompt = {};   ///< "{field}" stands for a field, "{choices}" for lettered lines
  std::string answer = {};   ///< field
  std::string choices = {};  ///< field with the choices' texts, "" = none
  std::string id = {};       ///< field that tells records apart, "" = none; none may stand twice
  std::vector<std::string> tags = {};  ///< fields kept with every answer
  std::string extract = {};            ///< regular expression, "" = none
  bool extract_last = true;            ///< the last match instead of the first
  AnswerScorer scorer = AnswerScorer::kNumeric;
  std::string few_shot = {};         ///< file of examples below the data folder, "" = none
  std::string few_shot_answer = {};  ///< field with an example's worked answer
  int64_t shots = 0;                 ///< the first so many of them
  std::string target_delimiter = " ";
  std::vector<std::string> stops = {};
  int64_t max_new_tokens = 512;
  size_t only_with_choices = 0;  ///< leave out records with another number of choices; 0 = none
};

/// An answer to a multiple-choice problem is a letter, a number from 0 (JSON number), or, as text,
/// a number from 1.
/// @throws Error(kConfig, kIo), Error(kFormat) with file:line
std::unique_ptr<Task> make_record_task(const RecordTaskSpec& spec, const TaskOptions& options);

/// The letter that a response chooses, by our own rule: the one behind the last "answer is" or
/// "answer:" (in any case, brackets, asterisks and \boxed{ passed over), else the one that is all
/// the response or begins it ("B." or "(B) because"). "" when there is none.
/// @param count  of choices, at most 26
std::string chosen_letter(std::string_view response, size_t count);

/// Benchmarks that are such tasks: math500, arc_challenge, mmlu_pro, mgsm.
void add_record_tasks(TaskRegistry& registry);

}  // namespace surprisal
