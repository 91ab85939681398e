#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/engine.h"
#include "experiments/results.h"
#include "experiments/sample.h"
#include "experiments/trace_nodes.h"
#include "experiments/trace_table.h"
#include "lib/hdf5.h"

namespace surprisal {

/// What a trace says about itself, and how wide its rows are.
struct TraceHeader {
  std::string config_sha256;
  std::string model_sha256;  ///< of the weights; several models: joined by ","
  TraceOptions options = {};
  bool twins = false;                             ///< whether there is a group /twins
  int64_t layers = 0, heads = 0, vocab_size = 0;  ///< the largest of the run's models
};

/// Writes a traces.h5 (schema: experiments/README.md), sample by sample in the order of its rows.
/// Everything is appended in chunks, so a trace need not fit into memory. The file is a whole one
/// only after finish(); write to a temporary name. One thread.
class TraceWriter {
 public:
  TraceWriter(const std::string& path, const TraceHeader& header);
  ~TraceWriter();

  /// @param cell      row of /cells
  /// @param question  equal for samples that answer the same prompt of the same model; all samples
  /// of
  ///                  one question come one after the other
  /// @param heads     of the sample's model
  /// @param position_gap  of the sample's sampler (Needs): its contexts are not those of others
  void add(const Sample& sample, int64_t cell, int64_t question, int64_t heads,
           bool position_gap = false);

  /// Writes /cells and /meta, marks the file complete and closes it. @throws Error(kIo)
  void finish(const std::vector<CellResult>& cells, const std::string& config_yaml,
              const std::string& manifest_json);

 private:
  struct SampleRow {
    const Sample* sample;
    int64_t cell, token_begin;
  };
  struct TokenRow {
    const TokenRecord* token;
    int64_t sample, node;
  };
  struct BranchRow {
    const BranchRecord* branch;
    int64_t sample, token_begin;
  };
  struct TwinRow {
    const TwinRecord* twins;
    int64_t sample;
  };
  struct EventRow {
    const EventRecord* event;
    int64_t sample;
  };
  void create_sample_columns();
  void create_token_columns();
  void create_branch_columns();
  void create_event_columns();
  void create_twin_columns();
  void write_cells(const std::vector<CellResult>& cells);

  hdf5::File file_;
  std::optional<TraceTable<SampleRow>> samples_;
  std::optional<TraceTable<TokenRow>> tokens_;
  std::optional<TraceTable<BranchRow>> branches_;
  std::optional<TraceTable<TokenRow>> branch_tokens_;
  std::optional<TraceTable<EventRow>> events_;
  std::optional<TraceTable<TwinRow>> twins_;
  std::vector<std::string> branch_texts_, event_details_, treated_texts_, untreated_texts_;
  std::unique_ptr<TraceNodes> nodes_;
  std::optional<GrowingColumn<uint8_t>> text_bytes_;
  std::optional<GrowingColumn<int64_t>> text_offsets_;
  int64_t text_end_ = 0;
};

}  // namespace surprisal
