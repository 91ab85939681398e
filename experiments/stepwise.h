#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "experiments/task.h"

namespace surprisal {

/// What distinguishes one set of stepwise problems from another.
struct StepwiseOptions {
  std::string split = "test";            ///< "test" or "dev"; they share no template
  std::vector<int64_t> levels = {1, 2};  ///< reasoning steps, 1 to 6, no level twice
  int64_t n_per_level = 100;             ///< 1 to 1,000
  uint64_t generator_seed = 0;
};

/// `stepwise`, a benchmark that needs no download: arithmetic word problems of 1 to 6 steps.
///
/// A problem begins in one of 15 scenes a split (stepwise_scenes.h), lets as many events happen as
/// its level says, and asks for the quantity in the end. Every intermediate value is a whole number
/// from 1 to 999. The levels take turns, and within a level the scenes do, so the first N problems
/// are a fair sample of all. Problem j of a level is a pure function of (generator_seed, split,
/// level, j): asking for more problems does not change those there were. No two problems of a set
/// have the same template and numbers.
///
/// Tags: `level`; `template_id`, scene and events ("apples/pick-pies"); `steps`, the calculation,
/// as
/// ["12 + 6 = 18", "18 / 3 = 6"]. Responses are scored like gsm8k_cot's ("The answer is 6.").
/// @throws Error(kConfig) on values out of range, and when a level has fewer problems than asked
/// for
std::unique_ptr<Task> make_stepwise_task(const StepwiseOptions& options);

}  // namespace surprisal
