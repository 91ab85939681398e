#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "experiments/runner.h"

namespace surprisal {

/// Shows on stderr how far a run is: a bar on a terminal, a plain line now and then elsewhere. The
/// one place of a run that looks at the clock to say something.
class ProgressDisplay : public RunObserver {
 public:
  ProgressDisplay();
  ~ProgressDisplay() override { clear(); }

  void progress(const RunProgress& progress) override;
  void message(const std::string& text) override;
  /// Removes the bar, so that what is printed next begins on a line of its own.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const RunProgress& progress, double seconds);

  bool terminal_;
  bool drawn_ = false;
  int64_t samples_ = 0, samples_total_ = 0;  ///< last seen: fewer, or of another total: a new run
  Clock::time_point start_, last_;
};

/// "2 h 5 min", "3 min 20 s", "8 s"
std::string duration_text(double seconds);

}  // namespace surprisal
