#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "experiments/plan.h"
#include "lib/json.h"

namespace surprisal {

/// The folder of one run: where its files are, whether it is the same run, whether it is finished.
///
///   config.yaml manifest.json cells.json samples.jsonl traces.h5 results.csv results.json
///   done.json parts/main/ spool samples.jsonl traces.h5 done.json
class RunDirectory {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  /// That of a plan: <output>/<name>.
  static RunDirectory of(const ExperimentConfig& config);

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const;
  std::string part_file(std::string_view name) const;  ///< in parts/main/

  /// Makes the folders. @throws Error(kIo)
  void create() const;

  /// manifest.json, if the run has begun. @throws Error(kFormat, kIo)
  std::optional<Json> manifest() const;

  /// Refuses to mix runs: what stands here must be the same experiment, with no more problems or
  /// repeats than now asked for.
  /// @throws Error(kConfig) listing the differences
  void require_same_run(const Plan& plan) const;

  /// Whether all that the plan asks for is done and every product is there unharmed.
  bool is_finished(const Plan& plan) const;

  /// Marks the run unfinished, before anything of it changes. @throws Error(kIo)
  void unmark() const;

  /// Writes both done.json, with the hash of every product. @throws Error(kIo)
  void mark_finished(const Plan& plan) const;

 private:
  std::string path_;
};

/// How much of an experiment was asked for: {"problems": [per task], "repeats": n}. The part that
/// may grow under the same name.
Json run_extent(const Plan& plan);

}  // namespace surprisal
