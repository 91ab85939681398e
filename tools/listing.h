#pragma once

#include <ostream>
#include <string>

#include "experiments/plan.h"

namespace surprisal {

/// Prints what an experiment can name: "samplers", "strategies", "tasks" and "retrievers" with
/// every parameter, its unit, bounds and default, as the code itself declares them; "models": the
/// folders below data/models.
void print_listing(const std::string& what, const Registries& registries, std::ostream& out);

}  // namespace surprisal
