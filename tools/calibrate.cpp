#include <ATen/Parallel.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "experiments/calibration.h"
#include "experiments/config_tree.h"
#include "experiments/runner.h"
#include "lib/files.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace surprisal {
namespace {

struct Arguments {
  std::string model, task, data, split = "dev", output, runs = "runs";
  std::vector<std::string> set;
  int64_t limit = 0;
  int threads = 0;
};

void define_options(CLI::App& app, Arguments& args) {
  app.add_option("model", args.model, "a Hugging Face folder")->required()->type_name("MODEL");
  app.add_option("--task", args.task, "whose problems the model answers")
      ->required()
      ->type_name("NAME");
  app.add_option("--output", args.output, "the calibration, for `model.calibration`")
      ->required()
      ->type_name("FILE");
  app.add_option("--data", args.data, "folder of the task's data")->type_name("DIR");
  app.add_option("--split", args.split, "problems that no result is reported on (GSM8K: train)")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--limit", args.limit, "first N problems only")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--set", args.set, "change a key of the experiment: model.dtype=float32")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.add_option("--runs", args.runs, "folder for the run that this takes")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--threads", args.threads, "threads of the arithmetic (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
}

/// One greedy cell on the task's other problems, with what it takes to read the signals.
YAML::Node experiment(const Arguments& args) {
  Json task = {{"name", args.task}, {"split", args.split}};
  if (!args.data.empty()) task["data"] = args.data;
  if (args.limit > 0) task["limit"] = args.limit;
  const std::string model = std::filesystem::path(args.model).lexically_normal().filename();
  const YAML::Node root =
      yaml_from_json({{"name", "calibrate_" + (model.empty() ? "model" : model) + "_" + args.task},
                      {"model", {{"path", args.model}}},
                      {"task", std::move(task)},
                      {"samplers", {{"greedy", {{"type", "greedy"}}}}},
                      {"trace", {{"top_k", 0}, {"attention", "summary"}}},
                      {"output", args.runs}});
  apply_overrides(root, args.set);
  return root;
}

int calibrate(const Arguments& args, const std::vector<std::string>& command) {
  if (args.threads > 0) at::set_num_threads(args.threads);
  const Registries registries;
  const Plan plan = make_plan(experiment(args), "calibrate", registries);
  ProgressDisplay display;
  RunOptions options;
  options.threads = at::get_num_threads();
  options.command = command;
  const RunOutcome outcome = run_plan(plan, options, display);
  display.clear();

  Calibration calibration = calibration_of_trace(TraceReader(outcome.directory));
  const PlannedModel& model = plan.models.at(0);
  const PlannedTask& task = plan.tasks.at(0);
  calibration.model = model.name();
  calibration.weights_sha256 = model.provenance.weights_sha256;
  calibration.dtype = model.dtype();
  calibration.task = task.spec.name;
  calibration.split = task.spec.options.split;
  calibration.data_sha256 = task.task->data_sha256();
  write_file_atomically(args.output, calibration_json(calibration).dump(1) + "\n");
  std::cout << calibration_text(calibration) << args.output << "\n";
  return 0;
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  surprisal::Arguments args;
  return surprisal::run_program(
      argc, argv,
      "Measures how a model's entropy, varentropy and attention signals are distributed in its own "
      "greedy text, so that thresholds can be written as quantiles (entropy_cut: q0.90).",
      [&](CLI::App& app) { surprisal::define_options(app, args); },
      [&] {
        return surprisal::calibrate(args, {argv, argv + argc});
      });
}
