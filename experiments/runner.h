#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "experiments/results.h"

namespace surprisal {

/// How far a run is.
struct RunProgress {
  int64_t samples = 0;         ///< answers there, earlier sessions included
  int64_t samples_total = 0;   ///< answers asked for
  int64_t samples_before = 0;  ///< of `samples`, those of earlier sessions
  int64_t answer_tokens = 0;   ///< tokens of answers in this session, unfinished ones included
};

/// Hears of a run while it goes on; called on the thread that runs it. Draws, prints and reads
/// clocks so that the library need not.
class RunObserver {
 public:
  virtual ~RunObserver() = default;
  /// After every token of every answer: must be quick.
  virtual void progress(const RunProgress&) {}
  /// Something worth a line: a model being loaded, a run being continued.
  virtual void message(const std::string&) {}
};

struct RunOptions {
  bool fail_fast = false;            ///< one failing cell stops the run; otherwise the others go on
  int64_t threads = 0;               ///< that the program has set, for the manifest
  std::vector<std::string> command;  ///< for the manifest
  AskPolicy person = {};  ///< answers in cells whose ask_policy is kPerson; empty: they are refused
  std::function<bool()> interrupted = [] { return false; };  ///< asked between steps
};

struct RunOutcome {
  enum class Status {
    kFinished,
    kAlreadyFinished,  ///< nothing was left to do and nothing was touched
    kInterrupted,      ///< what was finished is kept; another run goes on from there
  };
  Status status = Status::kFinished;
  std::string directory;
  RunProgress progress;
  std::vector<CellResult> results;    ///< empty when interrupted
  std::vector<std::string> products;  ///< paths, in the order worth reading
};

/// Carries a plan out: goes on where an earlier run of the same name stopped, computes every
/// missing answer, and builds the run directory's files. Every finished answer is safe in the spool
/// at once.
/// @throws Error; what was finished before stays
RunOutcome run_plan(const Plan& plan, const RunOptions& options, RunObserver& observer);

/// Rows extended at once for `batch: auto`.
int64_t automatic_batch(const PlannedModel& model);

}  // namespace surprisal
