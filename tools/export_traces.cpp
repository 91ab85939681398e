#include <iostream>
#include <string>
#include <vector>

#include "experiments/trace_export.h"
#include "experiments/trace_reader.h"
#include "tools/program.h"

int main(int argc, char** argv) {
  std::string run, format, output;
  bool signature = false;
  return surprisal::run_program(
      argc, argv, "Write a run's traces as tables, or print the signature of what it decided.",
      [&](CLI::App& app) {
        app.add_option("run", run, "run directory, or a traces.h5")->required()->type_name("RUN");
        CLI::Option* formats = app.add_option("--format", format, "one file a table: csv or jsonl")
                                   ->check(CLI::IsMember({"csv", "jsonl"}));
        app.add_option("--output", output, "folder for the tables")
            ->type_name("DIR")
            ->needs(formats);
        app.add_flag("--signature", signature, "print a short hash of all token ids and decisions");
      },
      [&] {
        if (format.empty() == output.empty() && (signature || !format.empty())) {
          const surprisal::TraceReader trace(run);
          if (signature) std::cout << surprisal::trace_signature(trace) << "\n";
          if (format.empty()) return 0;
          std::vector<std::string> left_out;
          for (const std::string& path : surprisal::export_trace(trace, format, output, &left_out))
            std::cout << path << "\n";
          for (const std::string& column : left_out)
            std::cerr << "left out: " << column << " (too wide for a table; read it with h5py)\n";
          return 0;
        }
        throw surprisal::Error(surprisal::ErrorCode::kUsage,
                               "give --format csv|jsonl with --output DIR, or --signature");
      });
}
