#include <iostream>
#include <string>

#include "experiments/rescoring.h"
#include "tools/program.h"

int main(int argc, char** argv) {
  using namespace surprisal;
  std::string run, data;
  bool as_json = false;
  return run_program(
      argc, argv,
      "Scores the stored responses of a finished run again with the scorers of today, and says "
      "what "
      "comes out differently. The run itself is left as it is.",
      [&](CLI::App& app) {
        app.add_option("run", run, "directory of a finished run")->required()->type_name("RUN");
        app.add_option("--data", data,
                       "folder of the task's data (default: as the run's config says)")
            ->type_name("DIR");
        app.add_flag("--json", as_json, "print one JSON document with every change");
      },
      [&] {
        const RecordedRun record = read_recorded_run(run, /*keep_texts=*/true);
        const RescoreReport report = rescore(record, builtin_tasks(), data);
        std::cout << (as_json ? rescore_json(report).dump(2) + "\n" : rescore_text(report));
        return 0;
      });
}
