#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "experiments/plan.h"
#include "experiments/spool.h"

namespace surprisal {

/// Which samples of a plan a spool holds, and where.
class SampleIndex {
 public:
  /// @throws Error(kFormat) on a record that is no sample; Error(kConfig) on one of a cell that the
  ///         plan does not have
  SampleIndex(const Plan& plan, const Spool& spool);

  /// Says that the answer has been written. @param record  of Spool::records()
  void add(size_t cell, int64_t doc_id, int64_t repeat, int64_t record);
  /// The record for Spool::read(), or nullopt: still to be computed.
  std::optional<int64_t> find(size_t cell, int64_t doc_id, int64_t repeat) const;
  int64_t size() const { return static_cast<int64_t>(records_.size()); }

 private:
  std::map<std::tuple<size_t, int64_t, int64_t>, int64_t> records_;
};

}  // namespace surprisal
