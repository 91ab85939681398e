#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "experiments/results.h"
#include "experiments/run_directory.h"
#include "experiments/spool.h"

namespace surprisal {

/// Builds from its spool everything a finished run shows but the manifest: samples.jsonl and
/// traces.h5 (of the part, and the same files at run level), config.yaml, cells.json and results.*,
/// each written to a temporary name and renamed. Rows are in a fixed order (model and task,
/// problem, cell, repeat), so that the same samples give the same rows however they came about.
/// @param manifest  of the run, already written; the trace quotes it
/// @throws Error(kIo) when the disk is full; Error(kInternal) when a planned sample is missing
std::vector<CellResult> build_products(const Plan& plan, const Spool& spool,
                                       const RunDirectory& directory, const Json& manifest);

/// Samples of a plan in the order of samples.jsonl: calls visit(cell, prompt, repeat), for each
/// model and task by problem, then by cell, then by repeat.
void for_each_sample(const Plan& plan,
                     const std::function<void(size_t, const Prompt&, int64_t)>& visit);

}  // namespace surprisal
