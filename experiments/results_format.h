#pragma once

#include <string>
#include <vector>

#include "experiments/results.h"
#include "lib/json.h"

namespace surprisal {

/// {value, low, high}; null where there is no number.
Json proportion_json(const Proportion& share);
/// null is NaN. @throws Json::exception
Proportion proportion_from_json(const Json& value);
std::string results_csv(const std::vector<CellResult>& results);
Json results_json(const std::vector<CellResult>& results);
/// What results_json() wrote. @throws Error(kFormat)
std::vector<CellResult> results_from_json(const Json& rows, const std::string& where);
/// What a table of several settings of one sampler must say.
std::string several_settings_note(const std::string& sampler, int64_t count);
/// What a table with a yoked control must say: "think_yoked: of 120 interventions, placed at
/// random, 7 were left out: ..."
std::string yoke_note(const std::string& name, double planned, double done);
/// For a terminal: one table per model and task.
std::string results_table(const std::vector<CellResult>& results);

}  // namespace surprisal
