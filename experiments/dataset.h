#pragma once

#include <string>
#include <vector>

#include "lib/json.h"

namespace surprisal {

/// One record of a JSON-lines data set: the values of the fields asked for, in that order.
using DataRecord = std::vector<std::string>;

struct Dataset {
  std::vector<DataRecord> records;  ///< in the file's order
  std::string sha256;               ///< of the file
};

struct JsonLines {
  std::vector<Json> objects;  ///< in the file's order, one a line
  std::string sha256;         ///< of the file
};

/// Reads a JSON-lines file of objects. At most 256 MiB, and 1 MiB a line.
/// @throws Error(kIo) when it cannot be read; Error(kFormat) with file:line when a line is not an
///         object, or when there is no line at all
JsonLines read_json_lines(const std::string& path);

/// Reads a JSON-lines file whose every line is an object with the given string fields; further
/// fields are ignored. At most 256 MiB, and 1 MiB a line.
/// @throws Error(kIo) when it cannot be read; Error(kFormat) with file:line when a line is not such
///         an object, or when there is no line at all
Dataset read_dataset(const std::string& path, const std::vector<std::string>& fields);

}  // namespace surprisal
