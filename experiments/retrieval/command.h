#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/retrieval/retriever.h"

namespace surprisal {

/// An external program: the query on its standard input, what goes in from its standard output. It
/// is started directly, without a shell, in a process group of its own, with the environment of
/// this process and no other of its files. Nothing runs unless an experiment names it.
///
/// A program that fails or takes too long is an error, and not "nothing found": otherwise the
/// clock would decide what an answer says. Nothing found is no output and exit status 0.
class Command : public Retriever {
 public:
  struct Options {
    std::vector<std::string> argv;        ///< the program's path first
    double time_limit = 10;               ///< seconds
    int64_t most_bytes = 2000;            ///< of output; the rest is cut off and not waited for
    std::string before = {}, after = {};  ///< markers
  };
  /// @throws Error(kConfig) when the program is not an executable file
  explicit Command(const Options& options);

  /// @throws Error(kIo) naming the program and what went wrong
  std::string retrieve(const std::string& query) const override;

  static RetrieverEntry entry();

 private:
  Options options_;
};

}  // namespace surprisal
