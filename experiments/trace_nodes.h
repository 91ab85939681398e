#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "experiments/engine.h"
#include "experiments/sample.h"
#include "experiments/trace_table.h"

namespace surprisal {

/// The /nodes of a trace: what depends on the context alone, once for all samples that passed
/// through it. Samples of one question come one after the other; where several have the same
/// context, the first one's figures stand.
class TraceNodes {
 public:
  /// @param layers, heads, vocab_size  of the largest model; rows of smaller ones are filled up
  ///                                   with NaN
  TraceNodes(hdf5::File& file, const TraceOptions& options, int64_t layers, int64_t heads,
             int64_t vocab_size);

  /// @param question    a number that changes with the prompt
  /// @param sample_row  written as the question of new nodes if this sample is its first
  /// @param heads       of the sample's model
  /// @param position_gap  the sample's model skipped a position: its contexts are others
  /// @return            for each node of the sample its row in /nodes
  /// @throws Error(kInternal) on a parent that does not precede its child
  std::vector<int64_t> add(const std::vector<NodeRecord>& nodes, int64_t question,
                           int64_t sample_row, int64_t heads, bool position_gap);
  void flush();

 private:
  struct Edge {
    int64_t parent;
    TokenId token;
    bool operator==(const Edge&) const = default;
  };
  struct EdgeHash {
    size_t operator()(const Edge& edge) const;
  };
  /// A row of lines x width values; missing ones are filled up.
  template <typename T>
  struct Wide {
    GrowingColumn<T> column;
    size_t lines, width;
    T filler;
    /// @param line  values in each line of `values`
    void push(const std::vector<T>& values, size_t line);
    void push(const std::vector<T>& values) { push(values, values.size()); }
  };
  void write(const NodeRecord& node, int64_t parent, size_t heads);
  void write_maps(const NodeRecord& node, size_t heads);

  bool by_head_;
  GrowingColumn<int64_t> question_, parent_;
  GrowingColumn<int32_t> token_id_;
  std::optional<GrowingColumn<float>> tail_mass_;
  std::optional<Wide<int32_t>> top_k_token_id_;
  std::optional<Wide<float>> top_k_logprob_;
  std::optional<Wide<float>> attention_entropy_, attention_varentropy_, attention_agreement_;
  std::optional<Wide<uint16_t>> logits_;
  std::optional<GrowingColumn<uint16_t>> maps_;
  std::optional<GrowingColumn<int64_t>> maps_begin_;
  std::optional<GrowingColumn<int32_t>> maps_shape_;

  std::unordered_map<Edge, int64_t, EdgeHash> rows_of_question_;
  int64_t current_question_ = -1, first_sample_ = -1;
  int64_t rows_ = 0, maps_end_ = 0;
};

}  // namespace surprisal
