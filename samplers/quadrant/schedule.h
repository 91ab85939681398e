#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "samplers/sampler.h"

namespace surprisal {

/// How far an answer has come in the schedule of its interventions (gate `yoked`).
class ScheduleProgress {
 public:
  /// What is due after `place` tokens of the answer, once: at its place, or where that was passed
  /// over (within a branch, say), at the next. Gaps count from where the last one really was due.
  std::optional<ActionKind> take(const std::vector<PlannedIntervention>& schedule, int64_t place) {
    if (next_ == schedule.size() || place - last_place_ < schedule[next_].gap) return std::nullopt;
    last_place_ = place;
    return schedule[next_++].kind;
  }

 private:
  size_t next_ = 0;
  int64_t last_place_ = 0;
};

}  // namespace surprisal
