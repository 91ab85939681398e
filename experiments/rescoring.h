#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/analysis_plan.h"
#include "experiments/recorded_run.h"
#include "experiments/task.h"

namespace surprisal {

/// One verdict or extraction that comes out differently now.
struct ScoreChange {
  std::string cell;
  int64_t doc_id = 0, repeat = 0;
  Scorer scorer = Scorer::kNumeric;
  std::string extracted_before, extracted_now;
  bool right_before = false, right_now = false;
};

struct RescoredCell {
  std::string cell;
  std::string name;  ///< sampler and setting
  int64_t answers = 0;
  std::array<int64_t, std::size(kScorerNames)> right_before{}, right_now{};  ///< by Scorer
};

struct RescoreReport {
  std::vector<RescoredCell> cells;
  std::vector<ScoreChange> changes;  ///< in the order of the cells, problems, repeats
  std::vector<std::string> notes;  ///< whole sentences, e.g. that a task's rules have a new version
};

/// Scores the stored responses of a run again with the tasks' scorers of today. Injected and
/// retrieved text is left out as the task's `score_inserted` said.
/// @param run   read with its texts
/// @param data  folder of the data instead of the recorded one; "" = the recorded one
/// @throws Error(kFormat) when the data is not that of the run or lacks a problem; what creating
/// the
///         task throws
RescoreReport rescore(const RecordedRun& run, const TaskRegistry& registry,
                      const std::string& data);

Json rescore_json(const RescoreReport& report);
/// For a terminal: accuracies before and now, and the first changes.
std::string rescore_text(const RescoreReport& report);

}  // namespace surprisal
