#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/analysis_plan.h"
#include "experiments/engine.h"
#include "experiments/task.h"
#include "lib/json.h"
#include "lib/params.h"

namespace surprisal {

/// One model of an experiment, as written.
struct ModelSpec {
  std::string path;  ///< a Hugging Face folder
  ModelOptions options;
  std::string calibration;  ///< file that `calibrate` wrote; "" = none
};

/// One task of an experiment. Keys of the task itself (stepwise's levels) are read from `node` when
/// it is created.
struct TaskSpec {
  std::string name;
  TaskOptions options;
  std::optional<int64_t> limit;  ///< first N problems; none: all
  std::vector<int64_t> ids;      ///< doc_ids; empty: no choice
  int64_t max_new_tokens = 0;    ///< 0: the task's default
  bool score_inserted = false;   ///< scorers read injected and retrieved text too
  YAML::Node node;
  std::string owner;  ///< for messages: "task" or "tasks.1"
};

struct SamplerSpec {
  std::string name;
  YAML::Node node;       ///< {type: NAME, parameters...}
  std::string yoked_to;  ///< the sampler whose control this is (yoke.h), an earlier one; "" = none
};

/// `tune:`: the settings of swept samplers are chosen on other problems than those reported on.
struct TuneSpec {
  std::string split;
  std::optional<int64_t> limit;      ///< first N problems; none: all
  Scorer scorer = Scorer::kNumeric;  ///< whose accuracy decides
  int64_t keep = 1;                  ///< settings of each sampler that are reported on
  /// Samplers whose setting is the one that intervenes most nearly at this rate instead, so that
  /// they differ in where they intervene and not in how often; none when empty.
  std::vector<std::string> matched = {};
  double intervention_rate = 0;  ///< interventions per generated token

  bool matches(const std::string& sampler) const;
};

/// An experiment's file, read strictly; every default filled in.
struct ExperimentConfig {
  std::string file;  ///< for messages
  std::string name;
  uint64_t seed = 0;
  std::vector<ModelSpec> models;
  std::vector<TaskSpec> tasks;
  std::vector<SamplerSpec> samplers;
  YAML::Node sweep;              ///< see sweep.h; undefined when absent
  std::optional<TuneSpec> tune;  ///< see tuning.h
  int64_t repeats = 1;
  YAML::Node retriever;  ///< {type: NAME, parameters...}; undefined: nothing is looked up
  Budget budget;         ///< of each answer
  std::string ask_policy =
      "best";  ///< who answers a sampler's questions: one of kAskPolicyNames, or kPerson
  Counterfactual counterfactual;         ///< probability 0: no twins
  std::optional<AnalysisPlan> analysis;  ///< what is declared to be tested
  EngineOptions engine;                  ///< `engine:` and `trace:`; batch 0: chosen by the runner
  std::string output;
  Json resolved;  ///< all of the above as one value, defaults included; samplers as written
};

/// @param root  the tree of load_config_tree()
/// @throws Error(kConfig, kUnknownName) with file:line; Error(kUnsupported) for parts of the format
///         that this version does not serve
ExperimentConfig read_experiment(const YAML::Node& root, const std::string& file);

/// Builds a task: reads the common keys and the task's own from its map.
/// @param resolved  out (may be null): every key of the map with its value
std::unique_ptr<Task> create_task(const TaskRegistry& registry, const TaskSpec& spec,
                                  const std::string& file, Json* resolved);

/// Keys that every task has, for `--list tasks`.
std::vector<ParamDoc> common_task_docs();

}  // namespace surprisal
