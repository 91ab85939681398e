#pragma once

#include <string>
#include <vector>

#include "experiments/trace_reader.h"

namespace surprisal {

/// Writes each table of a trace to DIR/<table>.csv or .jsonl, one row a line; enumerations by name.
/// CSV: the column c of shape [R, N] becomes c_0, c_1, ...; a number that is NaN is an empty field.
/// JSON lines: arrays stay arrays, NaN is null. A half-written file is never left under its name.
/// Columns of more than kMaxRowValues values a row (full logits) are left out.
/// @param format  "csv" or "jsonl"
/// @return        paths written; @param left_out  out: "/nodes/logits", ...
/// @throws Error(kIo, kFormat)
std::vector<std::string> export_trace(const TraceReader& trace, const std::string& format,
                                      const std::string& folder,
                                      std::vector<std::string>* left_out);

inline constexpr int64_t kMaxRowValues = 4096;

}  // namespace surprisal
