#include "experiments/sample_index.h"

#include <string>

#include "experiments/sample_json.h"
#include "lib/error.h"

namespace surprisal {

SampleIndex::SampleIndex(const Plan& plan, const Spool& spool) {
  std::map<std::string, size_t> cells;
  for (size_t c = 0; c < plan.cells.size(); ++c) cells[plan.cells[c].id] = c;
  for (const int64_t record : spool.records()) {
    const std::string where = spool.path() + ": record at byte " + std::to_string(record);
    const Sample sample = decode_sample(spool.read(record), where);
    const auto cell = cells.find(sample.cell);
    if (cell == cells.end())
      throw Error(ErrorCode::kConfig, where + ": belongs to cell " + sample.cell +
                                          ", which this experiment does not have");
    add(cell->second, sample.doc_id, sample.repeat, record);
  }
}

void SampleIndex::add(size_t cell, int64_t doc_id, int64_t repeat, int64_t record) {
  // One that stands twice was computed twice alike; the first counts.
  records_.emplace(std::tuple(cell, doc_id, repeat), record);
}

std::optional<int64_t> SampleIndex::find(size_t cell, int64_t doc_id, int64_t repeat) const {
  const auto found = records_.find({cell, doc_id, repeat});
  if (found == records_.end()) return std::nullopt;
  return found->second;
}

}  // namespace surprisal
