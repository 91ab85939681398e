#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "models/batch.h"
#include "models/cpu/attention_kernels.h"

namespace surprisal {

/// What a step's attention consists of: its queries, and the work on them in pieces that share
/// keys. The same for every layer.
///
/// Work is cut into chunks of kChunkKeys absolute positions, so that a single long row occupies all
/// threads, and rows that share a prefix (the same cache blocks) read it once.
struct AttentionPlan {
  struct Heads {
    int64_t all, kv, group;  ///< group = all / kv
  };
  struct Query {
    int64_t row = 0;  ///< of the batch
    int64_t position = 0;
    int64_t selected = -1;  ///< index among the batch's selected queries, or -1
    int64_t chunks = 0;
    int64_t record = 0;     ///< of (chunk 0, head 0); (c, h) is c * H + h further
    int64_t kept = -1;      ///< the same among kept weights, or -1
    int64_t compared = -1;  ///< number of its first chunk's comparison, or -1
    int32_t items = 0;      ///< that it is in
  };
  /// Queries that share one chunk's keys: neighbours in a row, or rows with a common prefix.
  struct Item {
    static constexpr int kMaxRows = 12;  ///< queries * heads; >= AttentionKernels::tile_rows
    int64_t chunk;
    std::span<const int64_t> blocks;     ///< of the cache, that hold the chunk
    int32_t kv_head, first_head, heads;  ///< heads [first_head, + heads) of the group
    int32_t queries = 0;
    std::array<int32_t, kMaxRows> query = {};
  };

  /// The heads of one query are compared chunk by chunk.
  struct Comparison {
    int32_t query;
    int64_t chunk;
  };

  /// Plans for tokens [begin, end) of the batch, which must outlive the step.
  /// @param keep_selected, keep_all  whose weights stay after the sums
  /// @param ranks  that share the items, each a part of the list
  void make(const Batch& batch, int64_t begin, int64_t end, bool keep_selected, bool keep_all,
            Heads heads, int64_t tile_rows, size_t ranks);

  const Batch* batch = nullptr;
  std::vector<Query> queries;
  std::vector<Item> items;
  std::vector<int32_t> compared;        ///< queries whose heads are compared
  std::vector<Comparison> comparisons;  ///< in the items' order, so that weights lie near
  int64_t records = 0, kept = 0;        ///< in all
  int64_t most_chunks = 0;              ///< of any query
  /// Whether there are queries enough that each is put together, all heads at once, and compared by
  /// whoever did the last of its items, while what they left is in that processor's caches. Else
  /// the heads of each key/value head are, and comparisons are cut up among all ranks.
  bool by_query = false;
  int64_t kv_heads = 1;  ///< of the model

  /// In which a query is put together.
  int64_t parts() const { return by_query ? 1 : kv_heads; }
  int64_t part_of(const Item& item) const { return by_query ? 0 : item.kv_head; }
  int32_t items_of_part(const Query& query) const {
    return query.items / static_cast<int32_t>(parts());
  }

  const AttentionRow& row_of(const Query& query) const {
    return batch->rows[static_cast<size_t>(query.row)];
  }
  /// The cache blocks that hold one chunk of a query's row.
  std::span<const int64_t> blocks(const Query& query, int64_t chunk) const;

 private:
  void add_queries(int64_t begin, int64_t end, bool keep_selected, bool keep_all, int64_t heads);
  /// @param present  the queries that reach into the chunk
  void add_items(int64_t chunk, std::vector<int32_t>& present, Heads heads, int64_t tile_rows);
  /// Orders items and comparisons so that each rank's part of them is every `ranks`-th group; but
  /// by query, groups of one query follow each other.
  void spread(size_t ranks);
  std::vector<size_t> spread_groups(size_t ranks) const;
  /// Where the items and comparisons of queries that share a chunk's keys begin. One rank takes
  /// them all: they read the same blocks, and comparisons the weights that items leave.
  struct Group {
    size_t items, comparisons;
    int32_t query = -1;  ///< the only one
  };
  std::vector<Group> groups_;
  std::vector<Item> spread_items_;
  std::vector<Comparison> spread_comparisons_;
};

}  // namespace surprisal
