#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/hdf5.h"

namespace surprisal {

inline constexpr std::string_view kTraceFormat = "surprisal-trace";
inline constexpr int64_t kTraceFormatVersion = 1;

/// Groups of a trace whose datasets are columns of equal length.
/// But for one dataset among the columns of /nodes: the values of all maps, one node after another.
inline constexpr std::string_view kRaggedMaps = "maps";
inline constexpr std::array<const char*, 7> kTraceTables = {
    "cells", "samples", "tokens", "branches", "branch_tokens", "events", "nodes"};

/// One column of a table.
struct TraceColumn {
  std::string name;
  hdf5::Kind kind;
  std::vector<int64_t> row_shape;        ///< of one row; empty: a single value
  std::vector<std::string> value_names;  ///< of an enumeration
  int64_t row_values() const;
};

/// A traces.h5 that is whole and of this version. Needs no LibTorch. One thread.
class TraceReader {
 public:
  /// @param run  a run directory, or the file itself
  /// @throws Error(kIo); Error(kFormat) when it is not a trace, not whole, or of another version
  explicit TraceReader(const std::string& run);

  const hdf5::File& file() const { return file_; }

  /// In the order of the file, kRaggedMaps left out. @throws Error(kFormat) when columns differ in
  /// length
  std::vector<TraceColumn> columns(const std::string& table) const;
  int64_t rows(const std::string& table) const;

  hdf5::Dataset column(const std::string& table, const std::string& name) const {
    return file_.dataset("/" + table + "/" + name);
  }

 private:
  hdf5::File file_;
};

/// Identifies what a run decided: the first 12 hex digits of the SHA-256 over every sample's cell,
/// problem, repeat and stop reason and every token's position, attempt, id, source, state, action
/// and gate, samples sorted by cell id, problem and repeat. Floats stay out: their last bits may
/// move with the batch and the machine. Equal however the run was carried out.
std::string trace_signature(const TraceReader& trace);

}  // namespace surprisal
