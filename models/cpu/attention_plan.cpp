#include "models/cpu/attention_plan.h"

#include <algorithm>

namespace surprisal {
namespace {

/// From so many queries on each is put together by one rank: the last one, at which others wait, is
/// then a small part of the whole.
constexpr size_t kQueriesOfARank = 4;

}  // namespace

std::span<const int64_t> AttentionPlan::blocks(const Query& query, int64_t chunk) const {
  const std::span<const int64_t> all = row_of(query).blocks;
  const auto begin = static_cast<size_t>(chunk * kChunkBlocks);
  return all.subspan(begin, std::min<size_t>(kChunkBlocks, all.size() - begin));
}

void AttentionPlan::make(const Batch& of, int64_t begin, int64_t end, bool keep_selected,
                         bool keep_all, Heads heads, int64_t tile_rows, size_t ranks) {
  batch = &of;
  queries.clear();
  items.clear();
  compared.clear();
  comparisons.clear();
  groups_.clear();
  records = kept = most_chunks = 0;
  kv_heads = heads.kv;
  add_queries(begin, end, keep_selected, keep_all, heads.all);
  for (const Query& query : queries) most_chunks = std::max(most_chunks, query.chunks);
  std::vector<int32_t> present;
  for (int64_t chunk = 0; chunk < most_chunks; ++chunk) {
    present.clear();
    for (size_t i = 0; i < queries.size(); ++i) {
      if (chunk < queries[i].chunks) present.push_back(static_cast<int32_t>(i));
    }
    add_items(chunk, present, heads, tile_rows);
  }
  by_query = queries.size() >= kQueriesOfARank * ranks;
  groups_.push_back({items.size(), comparisons.size()});
  spread(ranks);
}

// A row's last chunk, shorter than the others, came at the end of the list.
void AttentionPlan::spread(size_t ranks) {
  spread_items_.clear();
  spread_comparisons_.clear();
  const auto append = [](const auto& from, size_t begin, size_t end, auto& to) {
    to.insert(to.end(), from.begin() + static_cast<ptrdiff_t>(begin),
              from.begin() + static_cast<ptrdiff_t>(end));
  };
  for (const size_t g : spread_groups(ranks)) {
    const Group &begin = groups_[g], &end = groups_[g + 1];
    append(items, begin.items, end.items, spread_items_);
    append(comparisons, begin.comparisons, end.comparisons, spread_comparisons_);
  }
  items.swap(spread_items_);
  comparisons.swap(spread_comparisons_);
}

std::vector<size_t> AttentionPlan::spread_groups(size_t ranks) const {
  std::vector<size_t> in_turn, alone, order;
  for (size_t g = 0; g + 1 < groups_.size(); ++g) {
    (by_query && groups_[g].query >= 0 ? alone : in_turn).push_back(g);
  }
  std::ranges::stable_sort(alone, {}, [&](size_t g) { return groups_[g].query; });
  for (size_t rank = 0; rank < ranks; ++rank) {
    for (size_t i = rank; i < in_turn.size(); i += ranks) order.push_back(in_turn[i]);
    const auto place = [&](size_t r) {
      return alone.begin() + static_cast<ptrdiff_t>(alone.size() * r / ranks);
    };
    order.insert(order.end(), place(rank), place(rank + 1));
  }
  return order;
}

void AttentionPlan::add_queries(int64_t begin, int64_t end, bool keep_selected, bool keep_all,
                                int64_t heads) {
  int64_t compared_chunks = 0;
  auto selected = std::lower_bound(batch->selected.begin(), batch->selected.end(), begin);
  for (size_t r = 0; r < batch->rows.size(); ++r) {
    const AttentionRow& row = batch->rows[r];
    const int64_t first = std::max(begin, row.begin);
    for (int64_t token = first; token < std::min(end, row.begin + row.count); ++token) {
      Query query{.row = static_cast<int64_t>(r), .position = row.first + token - row.begin};
      query.chunks = query.position / kChunkKeys + 1;
      query.record = records;
      records += query.chunks * heads;
      if (selected != batch->selected.end() && *selected == token) {
        query.selected = selected++ - batch->selected.begin();
      }
      const bool compares = keep_selected && query.selected >= 0;
      if (keep_all || compares) {
        query.kept = kept;
        kept += query.chunks * heads;
      }
      if (compares) {
        compared.push_back(static_cast<int32_t>(queries.size()));
        query.compared = compared_chunks;
        compared_chunks += query.chunks;
      }
      queries.push_back(query);
    }
  }
}

void AttentionPlan::add_items(int64_t chunk, std::vector<int32_t>& present, Heads heads,
                              int64_t tile_rows) {
  const auto query = [&](int32_t index) -> const Query& {
    return queries[static_cast<size_t>(index)];
  };
  const auto same_row = [&](int32_t a, int32_t b) { return query(a).row == query(b).row; };
  if (!same_row(present.front(), present.back())) {  // bring rows with a common prefix together
    std::stable_sort(present.begin(), present.end(), [&](int32_t a, int32_t b) {
      return !same_row(a, b) &&
             std::ranges::lexicographical_compare(blocks(query(a), chunk), blocks(query(b), chunk));
    });
  }
  const auto share_keys = [&](int32_t a, int32_t b) {
    return same_row(a, b) || std::ranges::equal(blocks(query(a), chunk), blocks(query(b), chunk));
  };
  const auto rows = static_cast<int32_t>(tile_rows), group = static_cast<int32_t>(heads.group);
  const int32_t tile_heads = std::min(group, rows), most = rows / tile_heads;
  for (size_t begin = 0, end = 0; begin < present.size(); begin = end) {
    while (end < present.size() && share_keys(present[begin], present[end])) ++end;
    groups_.push_back({items.size(), comparisons.size(), end - begin == 1 ? present[begin] : -1});
    for (size_t i = begin; i < end; ++i) {
      if (query(present[i]).compared >= 0) comparisons.push_back({present[i], chunk});
    }
    for (int32_t kv_head = 0; kv_head < heads.kv; ++kv_head) {
      for (int32_t head = 0; head < group; head += tile_heads) {
        for (size_t next = begin; next < end;) {
          Item item{.chunk = chunk,
                    .blocks = blocks(query(present[begin]), chunk),
                    .kv_head = kv_head,
                    .first_head = head,
                    .heads = std::min(tile_heads, group - head)};
          while (next < end && item.queries < most) {
            ++queries[static_cast<size_t>(present[next])].items;
            item.query[static_cast<size_t>(item.queries++)] = present[next++];
          }
          items.push_back(item);
        }
      }
    }
  }
}

}  // namespace surprisal
