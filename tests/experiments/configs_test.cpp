#include <gtest/gtest.h>

#include <filesystem>

#include "experiments/config_tree.h"
#include "experiments/plan.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> config_files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(fs::path(SURPRISAL_SOURCE_DIR) / "configs"))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

/// What a model's calibration might say: every signal spread evenly from 0 to 1.
Calibration invented_calibration() {
  Calibration calibration;
  calibration.tokens = 1'000'000;
  for (const std::string_view signal : kCalibratedSignals)
    for (int64_t step = 0; step <= Calibration::kSteps; ++step)
      calibration.quantiles[std::string(signal)].push_back(static_cast<double>(step) /
                                                           Calibration::kSteps);
  return calibration;
}

class Configs : public ::testing::TestWithParam<std::string> {};

/// What can be known of an experiment without its models and data: it reads strictly, its grid
/// expands, every cell's sampler accepts its parameters, every task its keys.
TEST_P(Configs, Expands) {
  const Registries registries;
  const Calibration any_model = invented_calibration();
  const YAML::Node root = load_config_tree(GetParam(), {});
  const ExperimentConfig config = read_experiment(root, GetParam());
  EXPECT_EQ(config.name, fs::path(GetParam()).stem().string());
  const std::vector<CellSpec> cells = expand_cells(root, config);
  EXPECT_GE(cells.size(), config.samplers.size());
  for (const CellSpec& cell : cells) {
    const YAML::Node sampler =
        resolve_quantiles(cell.sampler.node, &any_model, GetParam(), nullptr);
    YAML::Node strategy;
    const YAML::Node own = without_strategy(sampler, &strategy);
    EXPECT_NE(create_sampler(registries.samplers, own, cell.sampler.name, GetParam(), {}, nullptr),
              nullptr);
    if (!strategy.IsNull()) {
      EXPECT_NE(
          create_strategy(registries.strategies, strategy, cell.sampler.name, GetParam(), nullptr),
          nullptr);
    }
    const bool has_data = cell.task.options.data.empty() ||
                          fs::exists(fs::path(SURPRISAL_SOURCE_DIR) / cell.task.options.data);
    if (!has_data) continue;
    TaskSpec task = cell.task;
    if (!task.options.data.empty()) {
      task.node = copy_tree(task.node);
      task.node["data"] = (fs::path(SURPRISAL_SOURCE_DIR) / task.options.data).string();
    }
    EXPECT_FALSE(create_task(registries.tasks, task, GetParam(), nullptr)->problems().empty());
  }
}

INSTANTIATE_TEST_SUITE_P(AllFiles, Configs, ::testing::ValuesIn(config_files()),
                         [](const auto& test) { return fs::path(test.param).stem().string(); });

}  // namespace
}  // namespace surprisal
