#pragma once

#include <deque>
#include <string>
#include <vector>

#include "experiments/runner.h"

namespace surprisal {

/// `tune:` chooses the settings of swept samplers on other problems than those reported on. A tuned
/// experiment is two runs: one over every setting and the tuning split, in the folder `tuning` of
/// the run directory, and the run itself over the settings that were kept.
///
/// Chosen together are the settings of one sampler under the same conditions (model, task, and
/// swept keys that are not the sampler's own). Rule: the highest accuracy by the stated scorer; of
/// equals the one that costs the fewest token_evaluations; of equals the first in the file. For
/// samplers under `match:` the intervention rate nearest to the wanted one takes the place of
/// accuracy. Samplers of one setting take part as they are written; yoked ones are not tuned, they
/// follow the setting that is kept of the sampler they are yoked to.

/// How one setting did on the tuning problems.
struct TunedCell {
  std::string cell;  ///< id in the tuning run
  std::string sampler;
  Setting swept;
  int64_t rivals = 0;  ///< settings it was chosen from, itself included
  int64_t questions = 0;
  double accuracy = 0, token_evaluations = 0;
  double intervention_rate = 0;  ///< interventions per generated token
  bool kept = false;
};

/// The experiment's tree with the tuning split in place of the reported one, named `tuning` in the
/// experiment's folder; its cells stand in the order of the experiment's, without yoked ones.
YAML::Node tuning_tree(const YAML::Node& root, const ExperimentConfig& config);

/// Refuses a choice that would not be fair: every swept sampler must bring the same number of
/// settings, for the best of many looks better than the best of few. Samplers that are matched are
/// not chosen by how well they do and may bring any number but one.
/// @param tuning  planned from tuning_tree()
/// @throws Error(kConfig) naming the samplers; also when nothing is swept
void require_fair_tuning(const Plan& tuning, const TuneSpec& spec);

/// @param results  of the tuning run, by cell
/// @return         an entry a cell of the plan
std::vector<TunedCell> choose_settings(const Plan& tuning, const std::vector<CellResult>& results,
                                       const TuneSpec& spec);

/// The experiment with only the cells that were kept, each labelled with how it was chosen and on
/// how many of its own problems.
/// @throws what make_plan() throws
Plan make_tuned_plan(const YAML::Node& root, const std::string& file, const Registries& registries,
                     const Plan& tuning, const std::vector<TunedCell>& tuned);

/// Plans an experiment and carries it out, its tuning first where it asks for one. Everything that
/// can be refused is refused before the first answer is computed.
/// @throws what make_plan() and run_plan() throw
RunOutcome run_experiment(const YAML::Node& root, const std::string& file,
                          const Registries& registries, const RunOptions& options,
                          RunObserver& observer);

/// The plans of such an experiment without its answers: with `tune:` the tuning run and a run over
/// as many settings as it will keep (the first ones stand for them), else the run alone.
std::deque<Plan> preview_plans(const YAML::Node& root, const std::string& file,
                               const Registries& registries);

}  // namespace surprisal
