#pragma once

#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace surprisal {

/// What went wrong, as a class of failure. Programs map it to their exit status (exit_status()).
enum class ErrorCode {
  kUsage,               ///< a command line that cannot be carried out
  kConfig,              ///< a configuration or parameter value that is not acceptable
  kUnknownName,         ///< no sampler, task, key, ... of that name
  kIo,                  ///< the operating system refused a file operation
  kFormat,              ///< a file that is not what it claims to be
  kCheckpointMismatch,  ///< tensors that do not fit the model's configuration
  kUnsupported,         ///< a valid request that this build or version does not serve
  kNumeric,             ///< NaN or +inf where a number was needed
  kInternal,            ///< a broken invariant of ours
};

/// The only exception this toolkit throws. The message says where, what was expected, what was
/// found, and what to do next. Control characters in it (names come from untrusted files) are shown
/// as \xNN: they must neither cut the message short nor command a terminal.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message);
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// "config", "unknown_name", ...: the code as users and JSON see it.
std::string_view error_code_name(ErrorCode code);

/// 2 for bad usage, configuration or names; 1 for everything else.
int exit_status(ErrorCode code);

/// The member of `known` closest to `name` in edit distance, or "" when none is close enough to be
/// a plausible misspelling.
std::string closest_name(std::string_view name, std::span<const std::string> known);

/// "unknown sampler 'gredy'; did you mean 'greedy'? Known: a, b, c"
Error unknown_name_error(std::string_view kind, std::string_view name,
                         std::span<const std::string> known, std::string_view where = {});

}  // namespace surprisal
