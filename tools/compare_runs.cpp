#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "experiments/comparison_report.h"
#include "tools/program.h"

int main(int argc, char** argv) {
  using namespace surprisal;
  std::string run;
  std::vector<std::string> with;
  ComparisonRequest request;
  bool as_json = false;
  return run_program(
      argc, argv,
      "Compares the cells of finished runs, question by question: intervals, differences with the "
      "baseline, the tests that the experiment declared, and accuracy at equal compute.",
      [&](CLI::App& app) {
        app.add_option("run", run, "directory of a finished run")->required()->type_name("RUN");
        app.add_option(
               "--baseline", request.baseline,
               "sampler or cell to compare with (default: as the run's `analysis` declares)")
            ->type_name("CELL_OR_SAMPLER");
        app.add_option("--with", with,
                       "compare only these with it; or other runs, whose cells are added (same "
                       "problems, data and model)")
            ->type_name("CELL_OR_SAMPLER_OR_RUN");
        app.add_option("--frontier", request.frontier,
                       "what spans the frontier of accuracy against compute (default: greedy and "
                       "chain samplers, with repeats also their majority votes)")
            ->type_name("CELL_OR_SAMPLER");
        app.add_option("--scorer", request.scorer,
                       "strict, flexible or numeric (default: as declared, else numeric)")
            ->type_name("NAME");
        app.add_option("--resamples", request.bootstrap.resamples, "of the bootstrap")
            ->check(CLI::Range(100, 1'000'000))
            ->capture_default_str();
        app.add_option("--seed", request.bootstrap.seed, "of the bootstrap")->capture_default_str();
        app.add_flag("--json", as_json, "print one JSON document");
      },
      [&] {
        std::vector<RecordedRun> records;
        records.push_back(read_recorded_run(run));
        for (const std::string& name : with) {
          if (std::filesystem::is_directory(name))
            records.push_back(read_recorded_run(name));
          else
            request.with.push_back(name);
        }
        const ComparisonReport report = compare_runs(records, request);
        std::cout << (as_json ? comparison_json(report).dump(2) + "\n" : comparison_text(report));
        return 0;
      });
}
