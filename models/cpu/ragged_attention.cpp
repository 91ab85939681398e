#include "models/cpu/ragged_attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <utility>

#include "lib/attention_statistics.h"
#include "models/cpu/amx_attention.h"
#include "models/cpu/linear_kernels.h"
#include "models/cpu/prefetch.h"
#include "models/kv_cache.h"

namespace surprisal {
namespace {

/// The path of attention's products. Processors with AMX issue dot products at half the rate of
/// multiply-adds, which models take that have no use for tiles.
CpuPath products_path(CpuPath path, int64_t dim, int64_t group) {
  return path == CpuPath::kAmx && !amx::attention_takes(dim, group) ? CpuPath::kAvx512 : path;
}

// Beyond the one that is being attended to. Their keys and values stay in the second-level cache,
// or go on to the first-level one.
constexpr int64_t pieces_ahead(const AttentionKernels& kernels) {
  return kernels.just_in_time ? 1 : 3;
}

static_assert(kBlockKeys == KVCache::kBlockTokens && kChunkKeys % kBlockKeys == 0);

/// Sum over heads of |x - mean|.
template <class Heads, class Member>
double deviation(const Heads& heads, Member member) {
  double mean = 0, total = 0;
  for (const auto& head : heads) mean += head.*member;
  mean /= static_cast<double>(heads.size());
  for (const auto& head : heads) total += std::abs(head.*member - mean);
  return total;
}

const void* at_byte(const void* start, int64_t offset) {
  return static_cast<const std::byte*>(start) + offset;
}

}  // namespace

RaggedAttention::RaggedAttention(const ModelConfig& config, CpuPath path, int ranks)
    : heads_(config.num_attention_heads),
      kv_heads_(config.num_key_value_heads),
      group_(heads_ / kv_heads_),
      dim_(config.head_dim),
      scale_(static_cast<float>(1 / std::sqrt(static_cast<double>(config.head_dim)))),
      kernels_(attention_kernels(products_path(path, dim_, group_))),
      merge_(merge_kernel(path)),
      round_(linear_kernels(products_path(path, dim_, group_)).round),
      scratch_(static_cast<size_t>(ranks)) {
  for (Scratch& scratch : scratch_) {
    scratch.q.reserve(dim_ * kernels_.tile_rows);
    for (FloatBuffer* part : {&scratch.scores, &scratch.weights})
      part->reserve(kChunkKeys * kernels_.tile_rows);
    scratch.sums.reserve(dim_ * kernels_.tile_rows);
    scratch.states.resize(static_cast<size_t>(kernels_.tile_rows));
    scratch.outputs.reserve(heads_ * dim_);
  }
}

int64_t RaggedAttention::scratch_floats(int64_t position, bool keep) const {
  constexpr int64_t kStateFloats = sizeof(ChunkState) / sizeof(float);
  return (position / kChunkKeys + 1) * heads_ * (dim_ + kStateFloats + (keep ? kChunkKeys : 0));
}

void RaggedAttention::plan(const Batch& batch, int64_t begin, int64_t end, bool keep_selected,
                           bool keep_all) {
  plan_.make(batch, begin, end, keep_selected, keep_all, {heads_, kv_heads_, group_},
             kernels_.tile_rows, scratch_.size());
  states_.resize(static_cast<size_t>(plan_.records));
  sums_.reserve(plan_.records * dim_);
  weights_.reserve(plan_.kept * kChunkKeys);
  for (FloatBuffer& factors : factors_) factors.reserve(plan_.kept);
  summaries_.resize(plan_.queries.size() * static_cast<size_t>(heads_));
  disagreements_.resize(plan_.comparisons.size());
  items_left_.clear();
  places_.clear();
  for (const Query& query : plan_.queries) {
    items_left_.insert(items_left_.end(), static_cast<size_t>(plan_.parts()),
                       plan_.items_of_part(query));
    places_.push_back(plan_.by_query ? kNone : static_cast<int32_t>(places_.size()));
  }
  for (Scratch& scratch : scratch_) scratch.factors.reserve(plan_.most_chunks * heads_);
}

void RaggedAttention::begin_layer(WorkShare share) {
  Scratch& scratch = scratch_[static_cast<size_t>(share.rank)];
  const int64_t first = share.begin(attend_pieces());
  scratch.spare = kNone;
  scratch.piece = first - 1;
  scratch.fetched = {first};
}

const AttentionPlan::Query& RaggedAttention::begin_query(int64_t index, int rank) {
  std::atomic_ref place(places_[static_cast<size_t>(index)]);
  int32_t taken = place.load(std::memory_order_acquire);
  if (taken == kNone) {
    const auto query = [&](int64_t i) -> const Query& {
      return plan_.queries[static_cast<size_t>(i)];
    };
    int32_t& spare = scratch_[static_cast<size_t>(rank)].spare;
    const bool fits = spare != kNone && query(spare).chunks >= query(index).chunks &&
                      (query(spare).kept >= 0 || query(index).kept < 0);
    const int32_t mine = fits ? spare : static_cast<int32_t>(index);
    // Releases what this rank read in that place, and acquires what the others did.
    if (place.compare_exchange_strong(taken, mine, std::memory_order_acq_rel)) {
      taken = mine;
      if (fits) spare = kNone;
    }
  }
  return plan_.queries[static_cast<size_t>(taken)];
}

RaggedAttention::Fetched RaggedAttention::first_ahead(int64_t piece) const {
  if (!kernels_.just_in_time) return {piece + 1, 0};
  return {piece, plan_.items[static_cast<size_t>(piece)].blocks.size()};
}

RaggedAttention::Fetched RaggedAttention::end_ahead(int64_t piece, int64_t ahead) const {
  const int64_t last = piece + ahead;
  if (last >= attend_pieces()) return {attend_pieces(), 0};
  if (!kernels_.just_in_time) return {last + 1, 0};
  return {last, plan_.items[static_cast<size_t>(last)].blocks.size()};
}

size_t RaggedAttention::next_blocks(const Layer& layer, Fetched& fetched, Fetched end,
                                    std::span<const void*> to) const {
  const auto same_keys = [](const Item& a, const Item& b) {
    return a.kv_head == b.kv_head && a.chunk == b.chunk && std::ranges::equal(a.blocks, b.blocks);
  };
  size_t found = 0;
  for (; fetched < end; ++fetched.piece, fetched.blocks = 0) {
    const Item& item = plan_.items[static_cast<size_t>(fetched.piece)];
    if (fetched.piece > 0 && fetched.blocks == 0 && same_keys(item, *(&item - 1))) continue;
    const size_t count = item.blocks.size();
    for (; fetched.blocks < 2 * count; ++fetched.blocks) {
      if (found == to.size() || fetched == end) return found;
      const bool keys = fetched.blocks < count;
      const int64_t block = item.blocks[fetched.blocks - (keys ? 0 : count)];
      to[found++] =
          at_byte(keys ? layer.keys : layer.values, block_offset(layer, block, item.kv_head));
    }
  }
  return found;
}

int64_t RaggedAttention::ask_for_next(const Layer& layer, int64_t piece, Fetched& fetched,
                                      int64_t reads, std::span<const void*> to) const {
  const auto ask = [&](int64_t ahead, size_t asked, int64_t most) {
    const std::span room = to.subspan(asked, static_cast<size_t>(most) - asked);
    return asked + next_blocks(layer, fetched, end_ahead(piece, ahead), room);
  };
  // The next pieces are most likely ours. Of what lies further ahead than the next one, a block
  // less than this call reads: that is fetch_ahead()'s.
  const size_t asked = ask(pieces_ahead(kernels_), 0, reads - 1);
  return static_cast<int64_t>(ask(1, asked, reads + ChunkCall::kCatchUp));
}

bool RaggedAttention::fetch_ahead(const Layer& layer, int rank) {
  Scratch& scratch = scratch_[static_cast<size_t>(rank)];
  const Fetched end = end_ahead(scratch.piece, pieces_ahead(kernels_));
  const void* block = nullptr;
  if (next_blocks(layer, scratch.fetched, end, {&block, 1}) == 0) return false;
  for (int64_t at = 0; at < kBlockKeys * dim_ * cache_bytes(layer.cache); at += kLineBytes) {
    prefetch_to_l2(at_byte(block, at));
  }
  return true;
}

void RaggedAttention::attend(const Layer& layer, int64_t piece, int rank, const Put& put) {
  const Item& item = plan_.items[static_cast<size_t>(piece)];
  Scratch& scratch = scratch_[static_cast<size_t>(rank)];
  scratch.piece = piece;
  Fetched& fetched = scratch.fetched;
  const Fetched least = first_ahead(piece), most{piece + pieces_ahead(kernels_) + 1, 0};
  if (fetched < least || fetched > most) fetched = least;
  fetch_ahead(layer, rank);  // while the call is made up
  const int64_t rows = item.queries * item.heads;
  const int64_t head = item.kv_head * group_ + item.first_head;  // of the item's first row
  const bool alone = item.queries == 1;  // then the heads lie one after the other
  std::array<int32_t, Item::kMaxRows> begins, ends;
  std::array<const Query*, Item::kMaxRows> places;
  int64_t used = 0;
  bool anything_seen = false;
  for (int64_t i = 0, r = 0; i < item.queries; ++i) {
    const int64_t index = item.query[static_cast<size_t>(i)];
    const Query& query = plan_.queries[static_cast<size_t>(index)];
    places[static_cast<size_t>(i)] = &begin_query(index, rank);
    const int64_t offset = item.chunk * kChunkKeys;
    // Position 0 is merge_heads()'s.
    const int64_t begin = std::max<int64_t>(visible_begin(query, layer), 1) - offset;
    const int64_t end = std::min(query.position + 1 - offset, kChunkKeys);
    used = std::max(used, end);
    anything_seen |= begin < end || begin + offset == 1;
    const float* const q = layer.q + index * layer.q_stride + head * dim_;
    float* const to = scratch.q.data() + r * dim_;
    if (layer.cache == CacheType::kFloat32) {
      std::copy_n(q, item.heads * dim_, to);
    } else {
      round_(
          {.x = q, .to = to, .n = dim_, .rows = item.heads, .x_stride = dim_, .to_stride = dim_});
    }
    for (int64_t h = 0; h < item.heads; ++h, ++r) {
      begins[static_cast<size_t>(r)] =
          static_cast<int32_t>(std::clamp<int64_t>(begin, 0, kChunkKeys));
      ends[static_cast<size_t>(r)] = static_cast<int32_t>(end);
    }
  }
  std::array<const void*, kChunkBlocks> keys, values;
  const std::span<const int64_t> blocks = item.blocks;
  for (size_t b = 0; b < kChunkBlocks; ++b) {  // beyond the row's end its last one
    const int64_t offset =
        block_offset(layer, blocks[std::min(b, blocks.size() - 1)], item.kv_head);
    keys[b] = at_byte(layer.keys, offset);
    values[b] = at_byte(layer.values, offset);
  }
  std::array<const void*, 2 * kChunkBlocks + ChunkCall::kCatchUp> next;
  // The heads of a single query lie in the records as in a tile, so that the kernel writes there.
  const Query& first = plan_.queries[static_cast<size_t>(item.query[0])];
  const int64_t record = item.chunk * heads_ + head;
  ChunkCall call{
      .rows = rows,
      .dim = dim_,
      .q = scratch.q.data(),
      .scale = scale_,
      .cache = layer.cache,
      .round = round_,
      .keys = keys.data(),
      .values = values.data(),
      .next = next.data(),
      .next_blocks = 0,
      .used = used,
      .begin = begins.data(),
      .end = ends.data(),
      .statistics = layer.compares(),
      .scores = alone && first.kept >= 0 ? weights_.data() + (places[0]->kept + record) * kChunkKeys
                                         : scratch.scores.data(),
      .weights = nullptr,
      .states = alone ? states_.data() + places[0]->record + record : scratch.states.data(),
      .sums = alone ? sums_.data() + (places[0]->record + record) * dim_ : scratch.sums.data()};
  call.next_blocks = ask_for_next(layer, piece, fetched, 2 * call.blocks(), next);
  call.weights = layer.cache == CacheType::kFloat32 ? call.scores : scratch.weights.data();
  if (anything_seen) {
    kernels_.chunk(call);
  } else {  // all before the window
    std::fill_n(call.states, rows, ChunkState());
    std::fill_n(call.scores, rows * kChunkKeys, 0.0f);
  }
  if (!alone) hand_out(item, places, record, scratch);
  for (int32_t i = 0; i < item.queries; ++i) {
    complete_item(layer, item, item.query[static_cast<size_t>(i)], rank, put);
  }
}

void RaggedAttention::hand_out(const Item& item, std::span<const Query* const> places,
                               int64_t record, const Scratch& scratch) {
  for (int64_t i = 0, r = 0; i < item.queries; ++i) {
    const Query& place = *places[static_cast<size_t>(i)];
    const Query& query = plan_.queries[static_cast<size_t>(item.query[static_cast<size_t>(i)])];
    for (int64_t at = record; at < record + item.heads; ++at, ++r) {
      states_[static_cast<size_t>(place.record + at)] = scratch.states[static_cast<size_t>(r)];
      std::copy_n(scratch.sums.data() + r * dim_, dim_, sums_.data() + (place.record + at) * dim_);
      if (query.kept < 0) continue;
      std::copy_n(scratch.scores.data() + r * kChunkKeys, kChunkKeys,
                  weights_.data() + (place.kept + at) * kChunkKeys);
    }
  }
}

void RaggedAttention::complete_item(const Layer& layer, const Item& item, int64_t index, int rank,
                                    const Put& put) {
  const int64_t part = plan_.part_of(item), heads = heads_ / plan_.parts();
  // Releases what this rank wrote, and acquires what the others did.
  std::atomic_ref left(items_left_[static_cast<size_t>(index * plan_.parts() + part)]);
  if (left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  left.store(plan_.items_of_part(plan_.queries[static_cast<size_t>(index)]),
             std::memory_order_relaxed);
  float* const outputs = scratch_[static_cast<size_t>(rank)].outputs.data();
  for (int64_t head = 0; head < heads; head += MergeCall::kMostHeads) {
    fetch_ahead(layer, rank);
    merge_heads(layer, index, part * heads + head, std::min(heads - head, MergeCall::kMostHeads),
                rank, outputs + head * dim_);
  }
  put(index, part * heads, heads, outputs);
  if (plan_.by_query) compare_query(layer, index, rank);
}

void RaggedAttention::merge_heads(const Layer& layer, int64_t index, int64_t head, int64_t heads,
                                  int rank, float* outputs) {
  const Query& query = plan_.queries[static_cast<size_t>(index)];
  const Query& place = place_of(index);
  const int64_t record = place.record + head;
  std::array<const void*, MergeCall::kMostHeads> first_values;
  const int64_t block = plan_.row_of(query).blocks[0];
  for (int64_t h = 0; h < heads; ++h) {
    first_values[static_cast<size_t>(h)] =
        at_byte(layer.values, block_offset(layer, block, (head + h) / group_));
  }
  const int64_t visible = query.position + 1 - visible_begin(query, layer);
  const bool kept = query.kept >= 0, padded = kept && layer.padded_head != nullptr;
  const auto factors = [&](size_t which) { return factors_[which].data() + place.kept + head; };
  MergedHeads merged;
  merge_({.heads = heads,
          .chunks = query.chunks,
          .stride = heads_,
          .states = states_.data() + record,
          .sums = sums_.data() + record * dim_,
          .dim = dim_,
          .cache = layer.cache,
          .first_values = visible_begin(query, layer) == 0 ? first_values.data() : nullptr,
          .statistics = kept,
          .empty = static_cast<double>(std::max<int64_t>(0, layer.padded_slots - visible)),
          .factors = kept ? factors(0) : scratch_[static_cast<size_t>(rank)].factors.data(),
          .factors_without_first = kept ? factors(1) : nullptr,
          .padded_factors = padded ? factors(2) : nullptr,
          .outputs = outputs},
         merged);
  if (kept) put_statistics(layer, index, head, heads, merged);
}

void RaggedAttention::put_statistics(const Layer& layer, int64_t index, int64_t head, int64_t heads,
                                     const MergedHeads& merged) {
  const Query& query = plan_.queries[static_cast<size_t>(index)];
  const bool selected = query.selected >= 0;
  const bool padded = selected && layer.padded_head != nullptr;
  const auto visible = static_cast<double>(query.position + 1 - visible_begin(query, layer));
  for (int64_t i = head; i < head + heads; ++i) {
    const auto of = [&](const MergedHeads::Heads& numbers) {
      return static_cast<float>(numbers[static_cast<size_t>(i - head)]);
    };
    HeadSummary& summary = summaries_[static_cast<size_t>(index * heads_ + i)];
    summary = {.first = of(merged.first)};
    const double abs_sum = merged.abs_sum[static_cast<size_t>(i - head)];
    if (selected && layer.per_head != nullptr) {
      float* const to =
          layer.per_head + query.selected * layer.per_head_stride + i * kHeadStatistics;
      const auto put = [&](HeadStatistic statistic, float value) {
        to[static_cast<int64_t>(statistic)] = value;
      };
      put(HeadStatistic::kEntropy, of(merged.entropy));
      put(HeadStatistic::kVarentropy, of(merged.varentropy));
      put(HeadStatistic::kMaxProbability, of(merged.max_probability));
      put(HeadStatistic::kSinkMass, of(merged.first));
      put(HeadStatistic::kMeanAbsScore, static_cast<float>(abs_sum / visible));
      put(HeadStatistic::kLogSumExp, of(merged.log_sum_exp));
    }
    if (padded) {
      float* const to = layer.padded_head + (query.selected * heads_ + i) * 2;
      to[0] = of(merged.padded_entropy);
      to[1] = static_cast<float>(abs_sum / static_cast<double>(layer.padded_slots));
      summary.padded_first = of(merged.padded_first);
      summary.padded_empty = of(merged.padded_empty);
    }
  }
}

int64_t RaggedAttention::compare_pieces(const Layer& layer) const {
  if (plan_.by_query) return 0;
  const auto mapped = layer.maps != nullptr ? static_cast<int64_t>(plan_.queries.size()) : 0;
  return mapped + (layer.compares() ? static_cast<int64_t>(plan_.comparisons.size()) : 0);
}

void RaggedAttention::compare(const Layer& layer, int64_t piece) {
  if (layer.maps != nullptr) {
    const auto mapped = static_cast<int64_t>(plan_.queries.size());
    if (piece < mapped) return write_maps(layer, piece);
    piece -= mapped;
  }
  const auto at = static_cast<size_t>(piece);
  compare_heads(layer, plan_.comparisons[at],
                plan_.comparisons[std::min(at + 1, plan_.comparisons.size() - 1)]);
}

void RaggedAttention::compare_query(const Layer& layer, int64_t index, int rank) {
  if (layer.maps != nullptr) write_maps(layer, index);
  const Query& query = plan_.queries[static_cast<size_t>(index)];
  const auto q = static_cast<int32_t>(index);
  const int64_t compared = layer.compares() && query.compared >= 0 ? query.chunks : 0;
  for (int64_t chunk = 0; chunk < compared; ++chunk) {
    fetch_ahead(layer, rank);
    compare_heads(layer, {q, chunk}, {q, std::min(chunk + 1, query.chunks - 1)});
  }
  scratch_[static_cast<size_t>(rank)].spare =
      std::exchange(places_[static_cast<size_t>(index)], kNone);
}

void RaggedAttention::compare_heads(const Layer& layer, const AttentionPlan::Comparison& what,
                                    const AttentionPlan::Comparison& next) {
  const auto& [index, chunk] = what;
  const auto kept_at = [&](const AttentionPlan::Comparison& of) {
    return place_of(of.query).kept + of.chunk * heads_;
  };
  const int64_t at = kept_at({index, chunk});
  const Query& query = plan_.queries[static_cast<size_t>(index)];
  DisagreementCall call{.heads = heads_,
                        .keys = std::min(query.position + 1 - chunk * kChunkKeys, kChunkKeys),
                        .weights = weights_.data() + at * kChunkKeys,
                        .next = weights_.data() + kept_at(next) * kChunkKeys};
  const int64_t number = query.compared + chunk;
  std::array<double, 3>& result = disagreements_[static_cast<size_t>(number)];
  float sums[2];
  call.factors[0] = factors_[0].data() + at;
  call.factors[1] = factors_[1].data() + at;
  kernels_.disagreement(call, sums);
  result = {sums[0], sums[1], 0};
  if (layer.padded_head == nullptr) return;
  call.factors[0] = factors_[2].data() + at;
  kernels_.disagreement(call, sums);
  result[2] = sums[0];
}

int64_t RaggedAttention::finish_pieces(const Layer& layer) const {
  return layer.compares() ? static_cast<int64_t>(plan_.compared.size()) : 0;
}

void RaggedAttention::finish(const Layer& layer, int64_t piece) {
  const auto index = static_cast<size_t>(plan_.compared[static_cast<size_t>(piece)]);
  const Query& query = plan_.queries[index];
  const std::span<const HeadSummary> heads(&summaries_[index * static_cast<size_t>(heads_)],
                                           static_cast<size_t>(heads_));
  std::array<double, 3> total{};
  for (int64_t c = query.compared; c < query.compared + query.chunks; ++c) {
    for (size_t j = 0; j < total.size(); ++j) total[j] += disagreements_[static_cast<size_t>(c)][j];
  }
  const auto count = static_cast<double>(heads_);
  if (layer.per_layer != nullptr) {
    float* const to = layer.per_layer + query.selected * layer.per_layer_stride;
    const auto put = [&](LayerStatistic statistic, double value) {
      to[static_cast<int64_t>(statistic)] = static_cast<float>(value);
    };
    // Total variation is half the summed |difference|.
    const double agreement = 1 - (total[0] + deviation(heads, &HeadSummary::first)) / (2 * count);
    put(LayerStatistic::kAgreement, agreement);
    put(LayerStatistic::kAgreementRescaled,
        heads_ > 1 ? (agreement - 1 / count) / (1 - 1 / count) : 1);
    put(LayerStatistic::kAgreementWithoutFirst, 1 - total[1] / (2 * count));
  }
  if (layer.padded_head != nullptr) {
    const auto slots = static_cast<double>(layer.padded_slots);
    const int64_t valid = query.position + 1 - visible_begin(query, layer);
    const double empty = std::max(0.0, slots - static_cast<double>(valid));
    const double summed = total[2] + deviation(heads, &HeadSummary::padded_first) +
                          empty * deviation(heads, &HeadSummary::padded_empty);
    layer.padded_mean_deviation[query.selected] = static_cast<float>(summed / (count * slots));
  }
}

void RaggedAttention::write_maps(const Layer& layer, int64_t index) const {
  const Query& query = plan_.queries[static_cast<size_t>(index)];
  const Query& place = place_of(index);
  const AttentionRow& row = plan_.row_of(query);
  const int64_t length = row.first + row.count;
  float* const map = (*layer.maps)[static_cast<size_t>(query.row)].mutable_data_ptr<float>();
  for (int64_t h = 0; h < heads_; ++h) {
    float* const line = map + (h * row.count + query.position - row.first) * length;
    line[0] = summaries_[static_cast<size_t>(index * heads_ + h)].first;
    for (int64_t key = 1; key <= query.position; ++key) {
      const int64_t at = place.kept + key / kChunkKeys * heads_ + h;
      line[key] = weights_.data()[at * kChunkKeys + key % kChunkKeys] * factors_[0].data()[at];
    }
  }
}

}  // namespace surprisal
