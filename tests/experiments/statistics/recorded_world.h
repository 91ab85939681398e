#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/recorded_run.h"

namespace surprisal {

/// Invented cells of runs, for tests: the same questions under the same conditions.
RecordedCell invented_cell(const std::string& id, const std::string& sampler,
                           const std::string& type);

/// Adds a question with one answer per entry: "" abstains, "right" is right, anything else wrong.
/// @param cluster  its template_id; "" = no tag
void add_question(RecordedCell& cell, const std::vector<std::string>& answers,
                  int64_t token_evaluations = 100, const std::string& cluster = "");

/// A run made of such cells with an `analysis:` section ("" = none), given as JSON.
RecordedRun invented_run(std::vector<RecordedCell> cells, const std::string& analysis);

/// Writes it as a run directory.
void write_run(const RecordedRun& run, const std::string& folder);

}  // namespace surprisal
