#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "experiments/experiment_config.h"
#include "lib/json.h"

namespace surprisal {

/// Dotted keys that move together, and the values they take.
struct SweepAxis {
  std::vector<std::string> keys;          ///< one, or those of a zip
  std::vector<std::vector<Json>> points;  ///< [point][key]
};

/// Values of the swept keys that concern one cell, in the order of the file.
using Setting = std::vector<std::pair<std::string, Json>>;

/// One cell as written: a model, a task, and a sampler with one setting of its swept keys.
struct CellSpec {
  ModelSpec model;
  TaskSpec task;
  SamplerSpec sampler;
  uint64_t seed = 0;
  Budget budget;
  std::string ask_policy = "best";
  Setting swept;
  std::optional<size_t> yoked_to =
      {};  ///< number of the cell whose control this is, an earlier one
};

/// A run of more cells is refused: a mistake in a grid is likelier than the wish.
inline constexpr int64_t kMaxCells = 10'000;

/// Reads the `sweep:` map: each key a list of values, or {min, max, steps, scale: linear|log};
/// `zip: [[key, key], ...]` moves keys together.
/// @throws Error(kConfig, kUnknownName) with file:line
std::vector<SweepAxis> read_sweep(const YAML::Node& sweep, const std::string& file,
                                  std::span<const std::string> samplers);

/// The settings of one sampler: the grid over the axes that concern it, the last axis fastest. A
/// key samplers.X. concerns X only; any other key concerns all. One empty setting without axes.
/// @throws Error(kConfig) beyond kMaxCells
std::vector<Setting> expand_sweep(std::span<const SweepAxis> axes, const std::string& sampler);

/// All cells of an experiment, models outermost, then tasks, samplers and settings. A yoked sampler
/// has a cell for each of the other's, with its parameters. A pure function of the tree: nothing
/// but `root` is read.
/// @param root    the tree that `config` was read from
/// @throws Error(kConfig, kUnknownName, kUnsupported)
std::vector<CellSpec> expand_cells(const YAML::Node& root, const ExperimentConfig& config);

/// "samplers.quadrant.entropy_cut=1.5, seed=2"
std::string setting_text(const Setting& setting);
/// For a table that names the sampler: "entropy_cut=1.5 seed=2", the sampler's own keys without
/// "samplers.quadrant.".
std::string own_setting_text(const std::string& sampler, const Setting& setting);
/// "quadrant (entropy_cut=1.5)", or the name alone.
std::string named_setting(const std::string& sampler, const Setting& setting);

}  // namespace surprisal
