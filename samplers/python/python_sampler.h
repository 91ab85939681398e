#pragma once

#include "samplers/sampler.h"

namespace surprisal {

/// `type: python, file: my_sampler.py`: a class of the user's own decides, in an interpreter inside
/// this process. For trying out an idea: every decision costs a copy of the row and a call into
/// Python. Where the build found no Python, creating one is an error that says how to get it.
///
/// The class named by `class` is made once with `parameters` as keyword arguments; each request
/// works on a deep copy, which is its memory: copied again at forks, restored by rewinds. It has
/// `decide(self, view)` and may have `observe(self, token, source)` and `needs_attention = True`.
/// README.md says what a view holds and what may be answered. The interpreter's lock is taken for
/// each call, so any thread may decide. Not the script's path but its SHA-256 is what identifies
/// it.
/// @throws Error(kConfig) naming the script's line for whatever it raises
SamplerEntry python_sampler_entry();

}  // namespace surprisal
