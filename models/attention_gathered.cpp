#include "models/attention_gathered.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "models/batch.h"
#include "models/kv_cache.h"
#include "models/score_statistics.h"

namespace surprisal {
namespace {

constexpr int64_t kMaxGathered = int64_t{1} << 28;   // floats: 1 GiB of keys, as much of values
constexpr int64_t kMaxDueScores = int64_t{1} << 24;  // 64 MiB, and some ten times that when written

int64_t blocks_of(const AttentionRow& row) {
  return KVCache::blocks_for(row.first + row.count);
}

/// The rows' keys or values in order of position.  @return [B, K, S, D] float32
at::Tensor gather(const at::Tensor& cache, const at::Tensor& blocks, int64_t rows, int64_t dim) {
  const int64_t kv_heads = cache.size(1), width = blocks.size(0) / rows;
  const at::Tensor found =
      cache.index_select(0, blocks).view({rows, width, kv_heads, KVCache::kBlockTokens, dim});
  const at::Tensor in_order = at::empty({rows, kv_heads, width, KVCache::kBlockTokens, dim},
                                        found.options().dtype(at::kFloat));
  in_order.copy_(found.transpose(1, 2));  // turned and widened at once
  return in_order.view({rows, kv_heads, -1, dim});
}

/// The part of a record that some of the selected queries fill in: those of one row.
AttentionRecord part_of(const AttentionRecord& record, int64_t first, int64_t count) {
  const auto part = [&](const at::Tensor& whole) {
    return whole.defined() ? whole.narrow(0, first, count) : at::Tensor();
  };
  return {.all_queries = record.all_queries,
          .per_head = part(record.per_head),
          .per_layer = part(record.per_layer),
          .padded_slots = record.padded_slots,
          .padded_head = part(record.padded_head),
          .padded_mean_abs_deviation = part(record.padded_mean_abs_deviation)};
}

/// Space like that of the selected queries, for `count` of them.
at::Tensor space_like(const at::Tensor& selected, int64_t count) {
  std::vector<int64_t> sizes = selected.sizes().vec();
  sizes[0] = count;
  return at::empty(sizes, selected.options());
}

}  // namespace

GatheredAttention::GatheredAttention(std::span<const AttentionRow> rows, bool all_queries,
                                     bool statistics, int64_t kv_width, at::Device device)
    : device_(device), last_with_others_(statistics && !all_queries) {
  std::vector<size_t> single;
  int64_t selected = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].count > 1) others_.push_back(i);
    if (rows[i].count == 1 || last_with_others_) single.push_back(i);
    selected_.push_back(selected);
    selected += all_queries ? rows[i].count : 1;
  }
  // Rows of like length together: padding is what they differ by.
  std::stable_sort(single.begin(), single.end(),
                   [&](size_t a, size_t b) { return blocks_of(rows[a]) > blocks_of(rows[b]); });
  for (size_t begin = 0; begin < single.size();) {
    const int64_t width = blocks_of(rows[single[begin]]);
    const int64_t fit =
        std::max<int64_t>(1, kMaxGathered / (width * KVCache::kBlockTokens * kv_width));
    const size_t end = std::min(single.size(), begin + static_cast<size_t>(fit));
    std::vector<int64_t> queries, places, blocks, lengths;
    for (size_t i = begin; i < end; ++i) {
      const AttentionRow& row = rows[single[i]];
      queries.push_back(row.begin + row.count - 1);
      places.push_back(selected_[single[i]]);
      lengths.push_back(row.first + row.count);
      const auto own = row.blocks.first(static_cast<size_t>(blocks_of(row)));
      blocks.insert(blocks.end(), own.begin(), own.end());
      blocks.resize(blocks.size() + static_cast<size_t>(width) - own.size(), own.front());
    }
    groups_.push_back({{single.begin() + static_cast<ptrdiff_t>(begin),
                        single.begin() + static_cast<ptrdiff_t>(end)},
                       indices(queries, device),
                       indices(places, device),
                       indices(blocks, device),
                       indices(lengths, device).unsqueeze(1)});
    begin = end;
  }
}

const GatheredAttention::Visible& GatheredAttention::visible(Group& group, int64_t window) const {
  const auto [at, is_new] = group.visible.try_emplace(window);
  if (is_new) {
    const int64_t rows = group.lengths.size(0);
    const int64_t width = group.blocks.size(0) / rows * KVCache::kBlockTokens;
    const at::Tensor key =
        at::arange(width, at::TensorOptions(at::kLong).device(device_)).unsqueeze(0);
    at::Tensor keys = key < group.lengths;
    if (window > 0) keys = keys.logical_and(key >= group.lengths - window);
    at->second = {keys, keys.logical_not()};
  }
  return at->second;
}

at::Tensor GatheredAttention::attend(const AttentionInput& input, const AttentionRecord& record) {
  at::Tensor output = at::empty_like(input.q);
  std::vector<at::Tensor> maps(record.maps == nullptr ? 0 : input.rows.size());
  for (Group& group : groups_) attend_group(group, input, record, maps, output);
  for (const size_t i : others_) {
    AttentionRow row = input.rows[i];
    const at::Tensor q = input.q.narrow(0, row.begin, row.count);
    at::Tensor out = output.narrow(0, row.begin, row.count);
    row.begin = 0;
    AttentionRecord part;
    if (!last_with_others_)
      part = part_of(record, selected_[i], record.all_queries ? row.count : 1);
    std::vector<at::Tensor> map;
    if (record.maps != nullptr) part.maps = &map;
    out.copy_(attention_reference(
        {q, input.keys, input.values, {&row, 1}, input.window, input.scale}, part));
    if (record.maps != nullptr) maps[i] = std::move(map.front());
  }
  if (record.maps != nullptr) record.maps->insert(record.maps->end(), maps.begin(), maps.end());
  return output;
}

void GatheredAttention::attend_group(Group& group, const AttentionInput& input,
                                     const AttentionRecord& record, std::span<at::Tensor> maps,
                                     at::Tensor& output) {
  const auto rows = static_cast<int64_t>(group.rows.size());
  const int64_t heads = input.q.size(1), dim = input.q.size(2);
  const int64_t kv_heads = input.keys.size(1), per_kv = heads / kv_heads;
  const at::Tensor k = gather(input.keys, group.blocks, rows, dim);  // [B, K, S, D]
  const at::Tensor q =
      input.q.index_select(0, group.queries).to(at::kFloat).view({rows, kv_heads, per_kv, dim});
  const at::Tensor raw = q.matmul(k.transpose(2, 3)) * input.scale;       // [B, K, G, S]
  const at::Tensor scores = raw.view({rows, heads, -1}).transpose(0, 1);  // [H, B, S]
  const auto& [keys, hidden] = visible(group, input.window);
  const at::Tensor weights =
      scores.masked_fill(hidden, -std::numeric_limits<float>::infinity()).softmax(-1);
  // A weight of 0 would not keep out NaN, and places that are not in use may hold it.
  const at::Tensor v =
      gather(input.values, group.blocks, rows, dim).masked_fill(hidden.view({rows, 1, -1, 1}), 0);
  const at::Tensor sums =
      weights.transpose(0, 1).reshape({rows, kv_heads, per_kv, -1}).matmul(v);  // [B, K, G, D]
  output.index_copy_(0, group.queries, sums.view({rows, heads, dim}).to(output.scalar_type()));

  if (record.wants_statistics()) {
    group.due.push_back({scores, keys, record.per_head, record.per_layer});
    due_scores_ += scores.numel();
    if (due_scores_ > kMaxDueScores) write_statistics();
  }
  if (record.padded_head.defined()) {
    const at::Tensor head = space_like(record.padded_head, rows);
    const at::Tensor deviation = space_like(record.padded_mean_abs_deviation, rows);
    write_padded_statistics(scores, keys, record.padded_slots, head, deviation);
    at::Tensor(record.padded_head).index_copy_(0, group.selected, head);
    at::Tensor(record.padded_mean_abs_deviation).index_copy_(0, group.selected, deviation);
  }
  for (size_t b = 0; b < group.rows.size() && !maps.empty(); ++b) {
    const AttentionRow& row = input.rows[group.rows[b]];
    if (row.count > 1) continue;
    maps[group.rows[b]] =
        weights.select(1, static_cast<int64_t>(b)).narrow(1, 0, row.first + row.count).unsqueeze(1);
  }
}

void GatheredAttention::write_statistics() {
  for (Group& group : groups_) {
    if (group.due.empty()) continue;
    std::vector<at::Tensor> scores, visible;
    for (const Due& due : group.due) {
      scores.push_back(due.scores);
      visible.push_back(due.visible);
    }
    const auto rows = static_cast<int64_t>(group.rows.size());
    const int64_t queries = rows * static_cast<int64_t>(group.due.size());  // of all layers
    const at::Tensor per_head = space_like(group.due.front().per_head, queries);
    const at::Tensor per_layer = space_like(group.due.front().per_layer, queries);
    write_score_statistics(at::cat(scores, 1), at::cat(visible), per_head, per_layer);
    int64_t first = 0;
    for (Due& due : group.due) {
      due.per_head.index_copy_(0, group.selected, per_head.narrow(0, first, rows));
      due.per_layer.index_copy_(0, group.selected, per_layer.narrow(0, first, rows));
      first += rows;
    }
    group.due.clear();
  }
  due_scores_ = 0;
}

}  // namespace surprisal
