#include "experiments/replay.h"

#include <iostream>
#include <string>
#include <vector>

#include "tools/program.h"

int main(int argc, char** argv) {
  using namespace surprisal;
  std::string run, cell;
  std::vector<std::string> set;
  bool as_json = false;
  return run_program(
      argc, argv,
      "Says of every recorded answer whether other thresholds would have given the same one, a "
      "changed one (and from which position), or whether the trace cannot tell. No model is run.",
      [&](CLI::App& app) {
        app.add_option("run", run, "directory of a finished run")->required()->type_name("RUN");
        app.add_option("--set", set, "the other setting: samplers.quadrant.entropy_cut=2.5")
            ->required()
            ->type_name("KEY=VALUE")
            ->expected(1)
            ->take_all();
        app.add_option("--cell", cell, "only this cell (default: all of that sampler)")
            ->type_name("CELL");
        app.add_flag("--json", as_json, "print a line for every answer");
      },
      [&] {
        const std::vector<ReplayedAnswer> answers = replay_run(run, set, cell, builtin_samplers());
        if (!as_json) {
          std::cout << replay_text(answers);
          return 0;
        }
        for (const ReplayedAnswer& answer : answers)
          std::cout << dump_line(replayed_answer_json(answer)) << "\n";
        return 0;
      });
}
