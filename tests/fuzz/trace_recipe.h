#pragma once

#include <string_view>

namespace surprisal::fuzz {

/// Builds a trace file as a JSON recipe says and reads all of it: columns, signature, CSV and JSON
/// lines. {"attributes": {NAME: value}, "datasets": {PATH: values}}; values are a list of integers,
/// numbers or texts, {"enum": [names], "values": [...]}, or {"width": n, "values": [...]}.
///
/// A recipe, not a file's bytes: what is ours to get right is what we make of a well-formed file
/// whose content is not what we wrote. The HDF5 library itself does not withstand damaged bytes
/// (Debian's 1.10.8 crashed in H5Aread on 1 of 400 mutated traces, 2026-11-23).
/// @throws Error
void read_trace_recipe(std::string_view input);

}  // namespace surprisal::fuzz
