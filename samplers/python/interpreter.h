#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "lib/error.h"

namespace surprisal {

/// Starts the interpreter, once in a process and never ended, with the packages of the environment
/// the build found (.venv). No thread holds its lock afterwards; Ctrl-C stays ours.
/// @throws Error(kConfig) when it cannot start
void start_python();

/// What a script raised as one error: "my_sampler.py:12: ValueError: ...", the line being the
/// innermost one in `script` itself. The caller holds the interpreter's lock.
Error script_error(pybind11::error_already_set& raised, const std::string& script);

}  // namespace surprisal
