#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "experiments/sample.h"
#include "lib/json.h"

namespace surprisal {

/// One cell of a finished run, as cells.json describes it, with its answers.
struct RecordedCell {
  std::string id;
  std::string model, task;                          ///< names, for tables
  std::string model_provenance;                     ///< "dequantised from Q4_1", or ""
  std::string sampler, sampler_label;               ///< name in the config; caveat or ""
  std::vector<std::pair<std::string, Json>> swept;  ///< dotted key and value
  std::string choice;                               ///< how the setting was chosen, or ""
  Json identity;                                    ///< {model, task, sampler, seed, ...}

  /// All answers to one problem, by repeat. Texts are left out unless they were asked for.
  struct Question {
    int64_t doc_id = 0;
    std::string question_sha256;
    std::vector<Sample> answers;
  };
  std::vector<Question> questions;  ///< by doc_id; every one has the same number of answers

  int64_t repeats() const { return questions.empty() ? 0 : std::ssize(questions[0].answers); }
  /// "samplers.minp.steps.min_p" of sampler minp reads "steps.min_p=0.1", several parted by spaces.
  std::string setting() const;
  /// "minp" or "minp (steps.min_p=0.1)"
  std::string name() const;
  /// Everything that must be equal for answers to be compared question by question: model, task
  /// (data, prompts, budgets), seed; the identity without its sampler.
  Json conditions() const;
};

struct RecordedRun {
  std::string path;
  std::vector<RecordedCell> cells;  ///< in the order of cells.json
  Json config;                      ///< as resolved, from manifest.json
};

/// Reads cells.json, samples.jsonl and manifest.json of a finished run directory.
/// @param keep_texts  prompts and responses too
/// @throws Error(kIo, kFormat) naming the file and line; Error(kFormat) on a run that is not
///         finished, a sample twice, a cell of which a problem or repeat is missing
RecordedRun read_recorded_run(const std::string& path, bool keep_texts = false);

/// Refuses to compare answers that were not given to the same questions under the same conditions.
/// @throws Error(kUsage) naming both cells and what differs
void require_comparable(const RecordedCell& one, const RecordedCell& other);

}  // namespace surprisal
