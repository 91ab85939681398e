#pragma once

#include <ostream>

#include "experiments/plan.h"

namespace surprisal {

/// Prints what a plan would do: its cells, how many prompts, answers and tokens, and how long that
/// takes at most, from a short measurement of each model on this machine.
void print_dry_run(const Plan& plan, std::ostream& out);

}  // namespace surprisal
