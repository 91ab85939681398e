#include "experiments/tuning.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "experiments/config_tree.h"
#include "experiments/run_directory.h"
#include "experiments/text_table.h"

namespace surprisal {
namespace {

constexpr const char* kTuningName = "tuning";

/// What the settings that are chosen from have in common.
std::string rivalry_of(const Cell& cell) {
  Json common = {cell.model, cell.task, cell.sampler_name};
  for (const auto& [key, value] : cell.swept)
    if (!key.starts_with("samplers.")) common.push_back({key, value});
  return canonical_json(common);
}

/// Cell numbers of every rivalry, in the order of the plan.
std::vector<std::vector<size_t>> rivalries(const Plan& tuning) {
  std::map<std::string, size_t> index;
  std::vector<std::vector<size_t>> groups;
  for (size_t c = 0; c < tuning.cells.size(); ++c) {
    const auto [place, is_new] = index.emplace(rivalry_of(tuning.cells[c]), groups.size());
    if (is_new) groups.emplace_back();
    groups[place->second].push_back(c);
  }
  return groups;
}

double accuracy_by(const CellResult& result, Scorer scorer) {
  return scorer == Scorer::kStrict     ? result.strict.value
         : scorer == Scorer::kFlexible ? result.flexible.value
                                       : result.numeric.value;
}

std::string scorer_name(const TuneSpec& spec) {
  return std::string(kScorerNames[static_cast<size_t>(spec.scorer)]);
}

/// manifest.json's account of the choice.
Json tuning_json(const Plan& tuning, const std::vector<TunedCell>& tuned, const TuneSpec& spec) {
  Json cells = Json::array();
  for (const TunedCell& cell : tuned) {
    Json swept = Json::object();
    for (const auto& [key, value] : cell.swept) swept[key] = value;
    cells.push_back({{"cell", cell.cell},
                     {"sampler", cell.sampler},
                     {"swept", std::move(swept)},
                     {"settings", cell.rivals},
                     {"questions", cell.questions},
                     {"accuracy", cell.accuracy},
                     {"mean_token_evaluations", cell.token_evaluations},
                     {"intervention_rate", cell.intervention_rate},
                     {"kept", cell.kept}});
  }
  Json json = {{"config_sha256", tuning.config_sha256},
               {"split", spec.split},
               {"scorer", scorer_name(spec)},
               {"rule",
                "highest accuracy; of equals the fewest mean token_evaluations; of equals the "
                "first in the file"},
               {"cells", std::move(cells)}};
  if (!spec.matched.empty())
    json["match"] = {{"samplers", spec.matched},
                     {"intervention_rate", spec.intervention_rate},
                     {"rule", "nearest to this rate instead of highest accuracy"}};
  return json;
}

/// How many problems of a cell were also used to choose its setting.
size_t shared_problems(const Plan& plan, const Cell& cell, const Plan& tuning) {
  std::set<std::string> tuned_on;
  for (const PlannedTask& task : tuning.tasks)
    for (const size_t problem : task.problems)
      tuned_on.insert(task.task->problems()[problem].question_sha256);
  const PlannedTask& task = plan.tasks[cell.task];
  return static_cast<size_t>(
      std::count_if(task.problems.begin(), task.problems.end(), [&](size_t problem) {
        return tuned_on.contains(task.task->problems()[problem].question_sha256);
      }));
}

std::string choice_text(const TunedCell& tuned, const TuneSpec& spec, size_t shared) {
  if (tuned.rivals == 1) return "not tuned";
  std::string text = "chosen from " + std::to_string(tuned.rivals) + " settings on " +
                     std::to_string(tuned.questions) + " problems of '" + spec.split + "', ";
  if (spec.matches(tuned.sampler))
    return text + "intervention rate " + fixed(100 * tuned.intervention_rate, 2) + " % where " +
           fixed(100 * spec.intervention_rate, 2) + " % was wanted";
  text += scorer_name(spec);
  if (shared > 0)
    text += "; " + std::to_string(shared) +
            " of them are reported on here, so it looks better than it is";
  return text;
}

/// The first `keep` of every rivalry, in a given order of merit.
template <typename Better>
void keep_best(const Plan& tuning, int64_t keep, std::vector<TunedCell>& tuned, Better better) {
  for (std::vector<size_t> group : rivalries(tuning)) {
    std::stable_sort(group.begin(), group.end(), better);
    for (size_t i = 0; i < group.size(); ++i) {
      TunedCell& entry = tuned[group[i]];
      entry.rivals = std::ssize(group);
      entry.kept = static_cast<int64_t>(i) < keep;
    }
  }
}

std::vector<TunedCell> unjudged_cells(const Plan& tuning) {
  std::vector<TunedCell> tuned;
  for (const Cell& cell : tuning.cells)
    tuned.push_back({.cell = cell.id, .sampler = cell.sampler_name, .swept = cell.swept});
  return tuned;
}

Plan make_tuning_plan(const YAML::Node& root, const std::string& file, const Registries& registries,
                      const ExperimentConfig& config) {
  Plan tuning = make_plan(tuning_tree(root, config), file, registries);
  require_fair_tuning(tuning, *config.tune);
  return tuning;
}

/// A plan like the one that will be reported on, before anything has been chosen.
Plan make_stand_in(const YAML::Node& root, const std::string& file, const Registries& registries,
                   const ExperimentConfig& config, const Plan& tuning) {
  std::vector<TunedCell> tuned = unjudged_cells(tuning);
  keep_best(tuning, config.tune->keep, tuned, [](size_t, size_t) { return false; });
  return make_tuned_plan(root, file, registries, tuning, tuned);
}

}  // namespace

YAML::Node tuning_tree(const YAML::Node& root, const ExperimentConfig& config) {
  const TuneSpec& spec = *config.tune;
  YAML::Node tree = copy_tree(root);
  for (const char* key : {"tune", "analysis"}) tree.remove(key);
  const auto use_split = [&](YAML::Node task) {
    task["split"] = spec.split;
    for (const char* key : {"limit", "ids"}) task.remove(key);
    if (spec.limit) task["limit"] = *spec.limit;
  };
  if (tree["task"].IsDefined()) use_split(tree["task"]);
  if (tree["tasks"].IsDefined())
    for (YAML::Node task : tree["tasks"]) use_split(task);
  for (const SamplerSpec& sampler : config.samplers)
    if (!sampler.yoked_to.empty()) tree["samplers"].remove(sampler.name);
  tree["name"] = kTuningName;
  tree["output"] = RunDirectory::of(config).path();
  return tree;
}

void require_fair_tuning(const Plan& tuning, const TuneSpec& spec) {
  std::map<std::string, int64_t> settings;  // by sampler
  for (const auto& group : rivalries(tuning))
    settings[tuning.cells[group[0]].sampler_name] = std::ssize(group);
  std::set<int64_t> counts;
  std::string list;
  for (const auto& [sampler, count] : settings) {
    const bool matched = spec.matches(sampler);
    if (matched && count == 1)
      throw Error(ErrorCode::kConfig,
                  tuning.config.file + ": tune.match: '" + sampler +
                      "' has one setting only; give its threshold values to choose from, as in "
                      "sweep: {samplers." +
                      sampler + ".entropy_cut: {min: 0.25, max: 4, steps: 16}}");
    if (matched || count == 1) continue;
    counts.insert(count);
    list += (list.empty() ? "" : ", ") + sampler + " " + std::to_string(count);
  }
  if (counts.empty() && spec.matched.empty())
    throw Error(ErrorCode::kConfig, tuning.config.file +
                                        ": tune: no sampler is swept, so there is nothing to "
                                        "choose; add `sweep:` over samplers.NAME.KEY");
  if (counts.size() > 1)
    throw Error(ErrorCode::kConfig,
                tuning.config.file +
                    ": tune: every swept sampler must bring the same number of settings, or the "
                    "one with more would win by luck; found " +
                    list);
}

std::vector<TunedCell> choose_settings(const Plan& tuning, const std::vector<CellResult>& results,
                                       const TuneSpec& spec) {
  std::vector<TunedCell> tuned = unjudged_cells(tuning);
  for (size_t c = 0; c < tuned.size(); ++c) {
    if (results.at(c).cell != tuned[c].cell)
      throw Error(ErrorCode::kInternal, "tuning: results of other cells");
    tuned[c].questions = results[c].questions;
    tuned[c].accuracy = accuracy_by(results[c], spec.scorer);
    tuned[c].token_evaluations = results[c].token_evaluations;
    if (results[c].generated_tokens > 0)
      tuned[c].intervention_rate = results[c].interventions / results[c].generated_tokens;
  }
  const auto merit = [&](const TunedCell& cell) {
    return spec.matches(cell.sampler) ? -std::abs(cell.intervention_rate - spec.intervention_rate)
                                      : cell.accuracy;
  };
  keep_best(tuning, spec.keep, tuned, [&](size_t a, size_t b) {
    return merit(tuned[a]) != merit(tuned[b])
               ? merit(tuned[a]) > merit(tuned[b])
               : tuned[a].token_evaluations < tuned[b].token_evaluations;
  });
  return tuned;
}

Plan make_tuned_plan(const YAML::Node& root, const std::string& file, const Registries& registries,
                     const Plan& tuning, const std::vector<TunedCell>& tuned) {
  std::vector<bool> kept;
  for (const TunedCell& cell : tuned) kept.push_back(cell.kept);
  Plan plan = make_plan(root, file, registries, &kept);
  const TuneSpec& spec = *plan.config.tune;
  auto entry = tuned.begin();
  for (Cell& cell : plan.cells) {
    if (cell.yoked_to) {
      cell.choice =
          "that of '" + plan.cells[*cell.yoked_to].sampler_name + "', to which it is yoked";
      continue;
    }
    entry = std::find_if(entry, tuned.end(), [](const TunedCell& each) { return each.kept; });
    cell.choice = choice_text(*entry++, spec, shared_problems(plan, cell, tuning));
  }
  plan.tuning = tuning_json(tuning, tuned, spec);
  return plan;
}

RunOutcome run_experiment(const YAML::Node& root, const std::string& file,
                          const Registries& registries, const RunOptions& options,
                          RunObserver& observer) {
  const ExperimentConfig config = read_experiment(root, file);
  if (!config.tune) return run_plan(make_plan(root, file, registries), options, observer);

  const Plan tuning = make_tuning_plan(root, file, registries, config);
  make_stand_in(root, file, registries, config, tuning);
  observer.message("tuning: " + std::to_string(tuning.cells.size()) + " cells on '" +
                   config.tune->split + "', in " + RunDirectory::of(tuning.config).path());
  const RunOutcome outcome = run_plan(tuning, options, observer);
  if (outcome.status == RunOutcome::Status::kInterrupted) return outcome;
  const std::vector<TunedCell> tuned = choose_settings(tuning, outcome.results, *config.tune);
  const Plan plan = make_tuned_plan(root, file, registries, tuning, tuned);
  observer.message("tuning is done; reporting on " + std::to_string(plan.cells.size()) + " cells");
  return run_plan(plan, options, observer);
}

std::deque<Plan> preview_plans(const YAML::Node& root, const std::string& file,
                               const Registries& registries) {
  const ExperimentConfig config = read_experiment(root, file);
  std::deque<Plan> plans;
  if (!config.tune) {
    plans.push_back(make_plan(root, file, registries));
    return plans;
  }
  plans.push_back(make_tuning_plan(root, file, registries, config));
  plans.push_back(make_stand_in(root, file, registries, config, plans[0]));
  return plans;
}

}  // namespace surprisal
