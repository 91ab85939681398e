#pragma once

#include <cstdint>
#include <vector>

#include "experiments/analysis_plan.h"
#include "experiments/recorded_run.h"

namespace surprisal {

/// Numbers of answers that tables show for so many repeats: 2, 4, 8, ... and all of them.
std::vector<int64_t> shown_subset_sizes(int64_t repeats);

/// Chance that one of k of the question's answers is right (pass_at_k()).
double question_pass_at_k(const RecordedCell::Question& question, Scorer scorer, int64_t k);

/// Chance that the majority of k of the question's answers is right (majority_at_k()). All answers
/// that the scorer accepts are one party, wrong ones vote by their extracted text, "[invalid]"
/// abstains.
double question_majority_at_k(const RecordedCell::Question& question, Scorer scorer, int64_t k);

/// Mean token_evaluations of k answers to the question together: its prompt is processed once.
double question_cost_of_k(const RecordedCell::Question& question, int64_t k);

}  // namespace surprisal
