#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "experiments/calibration.h"
#include "experiments/experiment_config.h"
#include "experiments/retrieval/retriever.h"
#include "experiments/strategies/strategy.h"
#include "experiments/sweep.h"
#include "lib/chat_template.h"
#include "lib/tokenizer.h"
#include "models/model.h"

namespace surprisal {

/// What a run may draw on; a program adds its own samplers and tasks to the built-in ones.
struct Registries {
  SamplerRegistry samplers = builtin_samplers();
  TaskRegistry tasks = builtin_tasks();
  RetrieverRegistry retrievers = builtin_retrievers();
  StrategyRegistry strategies = builtin_strategies();
};

/// A model of the run, identified but not loaded.
struct PlannedModel {
  ModelSpec spec;
  ModelConfig config;
  ModelProvenance provenance;
  std::string config_sha256;  ///< of config.json
  Placement placement;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat;  ///< null when no task asks through it
  std::optional<Calibration> calibration = {};

  std::string name() const;                  ///< the folder's last part, for tables
  std::string dtype() const;                 ///< resolved: "float32", "bfloat16" or "float16"
  std::vector<TokenId> stop_tokens() const;  ///< those that end an answer
  /// Texts that end an answer: the task's, and the end token spelt out in ordinary tokens.
  std::vector<std::string> stop_strings(const Task& task) const;
};

/// A task of the run, its problems read and chosen.
struct PlannedTask {
  TaskSpec spec;
  Json resolved;  ///< every key with its value
  std::unique_ptr<Task> task;
  std::vector<size_t> problems;  ///< indices into task->problems(), those of limit or ids
};

/// A problem as one model reads it.
struct Prompt {
  size_t problem;    ///< index into task->problems()
  std::string text;  ///< exactly what was tokenised
  std::vector<TokenId> tokens;
};

/// One model x one task x one sampler with one setting of its swept parameters.
struct Cell {
  std::string id;              ///< first 12 hex digits of the SHA-256 of `identity`
  Json identity;               ///< the canonical semantic configuration, every default filled in
  size_t model = 0, task = 0;  ///< indices into the plan
  std::string sampler_name;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Strategy> strategy = nullptr;  ///< above the sampler; null: one answer
  uint64_t seed = 0;
  int64_t max_new_tokens = 0;
  Budget budget;
  std::string ask_policy = "best";
  Setting swept;
  std::vector<ResolvedQuantile> quantiles;  ///< thresholds that were written as such
  std::string choice;                   ///< how its setting was chosen (tuning.h); "" = it was not
  std::optional<size_t> yoked_to = {};  ///< the cell whose control it is (yoke.h), an earlier one
};

/// Everything that a run is about to do; nothing is computed and nothing written yet.
struct Plan {
  ExperimentConfig config;
  std::vector<PlannedModel> models;
  std::vector<PlannedTask> tasks;
  std::unique_ptr<Retriever> retriever;  ///< null: nothing is looked up
  std::vector<Cell> cells;
  std::map<std::pair<size_t, size_t>, std::vector<Prompt>> prompts;  ///< by (model, task)
  Json tuning;                ///< how settings were chosen, for the manifest; null = they were not
  Json identity;              ///< of the run: what may not change under one name
  std::string config_sha256;  ///< of `identity`

  int64_t samples() const;  ///< answers in all
  /// The cells as `analysis:` may name them.
  std::vector<DeclarableCell> declarable_cells() const;
};

/// Reads an experiment whole: models' configurations, tokenizers, data, samplers, and every prompt.
/// @param root  of load_config_tree(); @param file  its name, for messages
/// @param kept  of expand_cells()'s cells but the yoked ones, which follow the other's, which to
///              plan; null = all
/// @throws Error, among them kConfig naming the problem whose prompt does not fit into the context
Plan make_plan(const YAML::Node& root, const std::string& file, const Registries& registries,
               const std::vector<bool>* kept = nullptr);

}  // namespace surprisal
