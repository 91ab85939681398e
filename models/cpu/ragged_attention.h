#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/batch.h"
#include "models/cpu/attention_kernels.h"
#include "models/cpu/attention_plan.h"
#include "models/cpu/float_buffer.h"
#include "models/cpu/merge_kernels.h"
#include "models/cpu/work_share.h"

namespace surprisal {

/// Attention of ragged rows over the paged cache for a team of threads, statistics included.
///
/// A step is planned once and then carried out for each layer in stages, each of which has to end
/// before the next begins. Work is cut into chunks of kChunkKeys absolute positions: attend()
/// treats each (queries, key/value head, chunk) on its own, and whoever does the last of a query's
/// chunks puts them together in order of position. So a single long row occupies all threads, rows
/// that share a prefix (the same cache blocks) read it once, and a query's bits depend on nothing
/// but its own keys.
///
/// Agreement between heads needs every head's normalised weights: compare() goes over the
/// weights that attend() kept, rescaled by what putting them together found.
class RaggedAttention {
 public:
  RaggedAttention(const ModelConfig& config, CpuPath path, int ranks);

  /// Where one layer's attention reads and writes. Pointers into AttentionOutput's tensors are null
  /// where nothing is wanted, and start at the batch's first selected query.
  struct Layer {
    const float* q;  ///< rotated, of the slab's tokens: [n, H * D]
    int64_t q_stride;
    CacheType cache;
    const void* keys;           ///< [blocks][K], each as CacheType says
    const void* values;         ///< likewise
    int64_t block_stride;       ///< from block to block, of both, in numbers
    int64_t window = 0;         ///< newest keys a query sees; 0 = all
    float* per_head = nullptr;  ///< [Q][...][H, kHeadStatistics]
    float* per_layer = nullptr;
    int64_t per_head_stride = 0, per_layer_stride = 0;  ///< from query to query
    int64_t padded_slots = 0;
    float* padded_head = nullptr;                   ///< [Q, H, 2]
    float* padded_mean_deviation = nullptr;         ///< [Q]
    const std::vector<at::Tensor>* maps = nullptr;  ///< per row of the batch: [H, T, S], zeroed
    bool compares() const { return per_layer != nullptr || padded_head != nullptr; }
  };

  /// Plans for tokens [begin, end) of the batch, which must outlive the step.
  /// @param keep_selected, keep_all  whose weights later stages want
  void plan(const Batch& batch, int64_t begin, int64_t end, bool keep_selected, bool keep_all);

  /// Floats of scratch one token at `position` needs.
  int64_t scratch_floats(int64_t position, bool keep) const;

  /// To be called by each rank before its first piece of a layer.
  void begin_layer(WorkShare share);
  /// Where the outputs of a token of the slab go: [heads][D], of heads from `head` on.
  using Put = std::function<void(int64_t token, int64_t head, int64_t heads, const float* outputs)>;
  /// Each stage is so many pieces, which ranks may carry out in any order.
  int64_t attend_pieces() const { return static_cast<int64_t>(plan_.items.size()); }
  void attend(const Layer& layer, int64_t piece, int rank, const Put& put);
  /// Asks for a little of what this rank will attend to next, so that memory has something to do
  /// while the rank has not.
  /// @return false: there is nothing left
  bool fetch_ahead(const Layer& layer, int rank);
  /// Of queries that were not compared by whoever put them together.
  int64_t compare_pieces(const Layer& layer) const;
  void compare(const Layer& layer, int64_t piece);
  int64_t finish_pieces(const Layer& layer) const;
  void finish(const Layer& layer, int64_t piece);

 private:
  using Query = AttentionPlan::Query;
  using Item = AttentionPlan::Item;
  static constexpr int32_t kNone = -1;
  /// What merge_heads() leaves for finish(), of one query and head.
  struct HeadSummary {
    float first = 0;  ///< probability of position 0 (0 when not visible)
    float padded_first = 0, padded_empty = 0;
  };

  /// How far a rank has asked for what it will read: so many blocks of keys and then of values, of
  /// one piece and all before it.
  struct Fetched {
    int64_t piece = 1;
    size_t blocks = 0;
    auto operator<=>(const Fetched&) const = default;
  };
  struct alignas(64) Scratch {  // ranks write to theirs all the time
    FloatBuffer q, scores, weights, sums, factors, outputs;
    std::vector<ChunkState> states;
    Fetched fetched;
    int64_t piece = 0;      ///< attended to last
    int32_t spare = kNone;  ///< whose place is free since the query in it was put together
  };
  /// Where a piece's own call is to begin to ask, at least.
  Fetched first_ahead(int64_t piece) const;
  /// Until where to ask while that many pieces before one are attended to.
  Fetched end_ahead(int64_t piece, int64_t ahead) const;
  /// Writes the next blocks to ask for, as far as `end`.
  /// @return how many there are: all that have room, or all that are left
  size_t next_blocks(const Layer& layer, Fetched& fetched, Fetched end,
                     std::span<const void*> to) const;
  /// What a piece's call is to fetch.
  /// @param reads  blocks that the call itself reads
  int64_t ask_for_next(const Layer& layer, int64_t piece, Fetched& fetched, int64_t reads,
                       std::span<const void*> to) const;
  /// Whose place for records a query uses. Where queries are put together one after another, the
  /// one that this rank has just finished with, if that is large enough: it lies in this
  /// processor's caches, where places of their own for all queries would not stay.
  const Query& begin_query(int64_t index, int rank);
  const Query& place_of(int64_t index) const {
    return plan_.queries[static_cast<size_t>(places_[static_cast<size_t>(index)])];
  }
  /// Copies what several queries' rows left in the scratch to where each has its records.
  void hand_out(const Item& item, std::span<const Query* const> places, int64_t record,
                const Scratch& scratch);
  /// Counts an item of a query as done, and if it was the last puts the query's heads together.
  void complete_item(const Layer& layer, const Item& item, int64_t query, int rank, const Put& put);
  /// @param outputs  of heads [head, head + heads), at most MergeCall::kMostHeads
  void merge_heads(const Layer& layer, int64_t query, int64_t head, int64_t heads, int rank,
                   float* outputs);
  void put_statistics(const Layer& layer, int64_t query, int64_t head, int64_t heads,
                      const MergedHeads& merged);
  void compare_query(const Layer& layer, int64_t query, int rank);
  /// @param next  what the next call compares, to be fetched
  void compare_heads(const Layer& layer, const AttentionPlan::Comparison& what,
                     const AttentionPlan::Comparison& next);
  /// Where a block's keys or values of one head begin, in bytes.
  int64_t block_offset(const Layer& layer, int64_t block, int64_t kv_head) const {
    return (block * layer.block_stride + kv_head * kBlockKeys * dim_) * cache_bytes(layer.cache);
  }
  void write_maps(const Layer& layer, int64_t query) const;
  int64_t visible_begin(const Query& query, const Layer& layer) const {
    return layer.window > 0 ? std::max<int64_t>(0, query.position + 1 - layer.window) : 0;
  }

  const int64_t heads_, kv_heads_, group_, dim_;
  const float scale_;
  const AttentionKernels& kernels_;
  const Merge merge_;
  void (*const round_)(const RoundCall& call);

  AttentionPlan plan_;
  std::vector<ChunkState> states_;      ///< [records]
  FloatBuffer sums_;                    ///< [records][D]
  FloatBuffer weights_;                 ///< [kept records][kChunkKeys]
  std::array<FloatBuffer, 3> factors_;  ///< [kept records]: p, p without position 0, p if padded
  std::vector<HeadSummary> summaries_;  ///< [queries][H]
  std::vector<std::array<double, 3>> disagreements_;  ///< [comparisons]
  std::vector<int32_t> items_left_;  ///< [queries][parts that are put together]; atomic
  std::vector<int32_t> places_;      ///< [queries]: whose records it uses, kNone: not begun; atomic
  std::vector<Scratch> scratch_;     ///< per rank
};

}  // namespace surprisal
