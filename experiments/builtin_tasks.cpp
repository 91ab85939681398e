#include "experiments/gsm8k.h"
#include "experiments/record_task.h"
#include "experiments/stepwise.h"
#include "experiments/task.h"

namespace surprisal {
namespace {

std::unique_ptr<Task> read_stepwise(ParamReader& reader, const TaskOptions& task) {
  StepwiseOptions options;
  options.split = task.split;
  options.levels = reader.integers("levels", options.levels, {.min = 1, .max = 6}, "steps",
                                   "how many reasoning steps the problems take");
  options.n_per_level = reader.integer("n_per_level", options.n_per_level, {.min = 1, .max = 1000},
                                       "problems", "problems of each level");
  options.generator_seed = static_cast<uint64_t>(
      reader.integer("generator_seed", 0, {.min = 0}, "", "which set of problems is made"));
  return reader.is_describing() ? nullptr : make_stepwise_task(options);
}

}  // namespace

TaskRegistry builtin_tasks() {
  TaskRegistry registry("task");
  for (const std::string& name : gsm8k_task_names())
    registry.add(
        name, {gsm8k_task_summary(name), [name](ParamReader& reader, const TaskOptions& options) {
                 return reader.is_describing() ? nullptr : make_gsm8k_task(name, options);
               }});
  registry.add("stepwise",
               {"Arithmetic word problems of 1 to 6 steps, made from a seed", read_stepwise});
  add_record_tasks(registry);
  return registry;
}

}  // namespace surprisal
