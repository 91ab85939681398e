#include "experiments/task.h"

namespace surprisal {

TaskRegistry builtin_tasks() {
  return TaskRegistry("task");
}

}  // namespace surprisal
