#include <ATen/Parallel.h>
#include <signal.h>

#include <csignal>
#include <deque>
#include <iostream>
#include <string>
#include <vector>

#include "experiments/config_tree.h"
#include "experiments/results_format.h"
#include "experiments/runner.h"
#include "experiments/tuning.h"
#include "tools/ask_person.h"
#include "tools/dry_run.h"
#include "tools/listing.h"
#include "tools/program.h"
#include "tools/progress.h"

namespace surprisal {
namespace {

volatile std::sig_atomic_t interrupt_requested = 0;

/// The first Ctrl-C (or SIGTERM, as cluster schedulers send) ends the run in good order, a second
/// one at once; either way every finished answer is kept.
void install_interrupt_handler() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt_requested = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

struct Arguments {
  std::string config;
  std::vector<std::string> set;
  int64_t limit = 0;
  std::string output, shard, list;
  bool dry_run = false, fail_fast = false, interactive = false;
  int threads = 0;
};

void define_options(CLI::App& app, Arguments& args) {
  app.add_option("config", args.config, "experiment to run (YAML; configs/README.md)")
      ->type_name("CONFIG");
  app.add_option("--set", args.set, "change a key: task.limit=10, samplers.minp.steps.min_p=0.2")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.add_option("--limit", args.limit, "first N problems of every task")
      ->type_name("N")
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--output", args.output, "folder of run directories")->type_name("DIR");
  app.add_flag("--dry-run", args.dry_run, "print cells, prompts, tokens and time; run nothing");
  app.add_option("--shard", args.shard, "compute part I of N only (not built yet: refused)")
      ->type_name("I/N|auto");
  app.add_option("--list", args.list, "print what an experiment can name")
      ->check(CLI::IsMember({"samplers", "strategies", "tasks", "models", "retrievers"}));
  app.add_flag("--fail-fast", args.fail_fast, "stop at the first cell that fails");
  app.add_flag("--interactive", args.interactive,
               "you answer what samplers ask, at this terminal (sets ask_policy: person; such "
               "cells are not compared with others)");
  app.add_option("--threads", args.threads, "threads of the arithmetic (default: all cores)")
      ->type_name("N")
      ->check(CLI::Range(1, 4096));
}

YAML::Node load_tree(const Arguments& args) {
  const YAML::Node root = load_config_tree(args.config, args.set);
  if (args.limit > 0) {
    const YAML::Node limit(args.limit);
    const YAML::Node& tree = root;
    if (tree["tasks"].IsDefined() && tree["tasks"].IsSequence())
      for (size_t i = 0; i < tree["tasks"].size(); ++i)
        set_by_key(root, "tasks." + std::to_string(i) + ".limit", limit);
    else
      set_by_key(root, "task.limit", limit);
  }
  if (args.interactive) set_by_key(root, "ask_policy", yaml_from_json(std::string(kPerson)));
  if (!args.output.empty()) set_by_key(root, "output", yaml_from_json(args.output));
  return root;
}

int report(const RunOutcome& outcome) {
  using Status = RunOutcome::Status;
  if (outcome.status == Status::kInterrupted) {
    std::cerr << "interrupted: " << outcome.progress.samples << " of "
              << outcome.progress.samples_total << " answers are safe in " << outcome.directory
              << "; the same command goes on from there\n";
    return 1;
  }
  if (outcome.status == Status::kAlreadyFinished)
    std::cerr << "this run is finished; nothing was left to do\n";
  std::cout << results_table(outcome.results) << "\n";
  for (const std::string& path : outcome.products) std::cout << path << "\n";
  return 0;
}

int run(const Arguments& args, const std::vector<std::string>& command) {
  const Registries registries;
  if (!args.list.empty()) {
    print_listing(args.list, registries, std::cout);
    return 0;
  }
  if (args.config.empty())
    throw Error(ErrorCode::kUsage, "no experiment given: run_experiment CONFIG (see --help)");
  if (!args.shard.empty())
    throw Error(ErrorCode::kUnsupported,
                "--shard: runs in several parts are not built yet; leave it out");
  if (args.threads > 0) at::set_num_threads(args.threads);
  const YAML::Node tree = load_tree(args);
  if (args.dry_run) {
    const std::deque<Plan> plans = preview_plans(tree, args.config, registries);
    for (const Plan& plan : plans) {
      if (plan.config.tune)
        std::cout << "\nthen (the first settings stand for those that tuning will keep)\n";
      print_dry_run(plan, std::cout);
    }
    return 0;
  }
  if (args.interactive && !person_is_there())
    throw Error(ErrorCode::kUsage, "--interactive: nobody is there (not a terminal)");
  install_interrupt_handler();
  RunOptions options;
  if (args.interactive) options.person = ask_person();
  options.fail_fast = args.fail_fast;
  options.threads = at::get_num_threads();
  options.command = command;
  options.interrupted = [] { return interrupt_requested != 0; };
  ProgressDisplay display;
  const RunOutcome outcome = run_experiment(tree, args.config, registries, options, display);
  display.clear();
  return report(outcome);
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  surprisal::Arguments args;
  return surprisal::run_program(
      argc, argv, "Run an experiment: samplers over benchmark problems, scored and traced.",
      [&](CLI::App& app) { surprisal::define_options(app, args); },
      [&] {
        return surprisal::run(args, {argv, argv + argc});
      });
}
