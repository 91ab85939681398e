#include "models/cpu/cpu_step.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "lib/error.h"
#include "models/cpu/amx_kernels.h"
#include "models/cpu/prefetch.h"

namespace surprisal {
namespace {

// Enough rows to use the products' tiles fully while a slab's activations stay in the caches.
constexpr int64_t kSlabTokens = 192;
constexpr int64_t kSlabScratchFloats = int64_t{16} << 20;
constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

void lower_to(std::atomic<int64_t>& least, int64_t value) {
  int64_t seen = least.load();
  while (value < seen && !least.compare_exchange_weak(seen, value)) {
  }
}

/// Where a piece of a product lies in rows of all its outputs.
PackedLinear::Output part(const RowBuffer& rows, const PackedLinear& product, int64_t piece) {
  return {rows.row(0) + product.outputs_of_piece(piece).first, rows.stride()};
}

}  // namespace

CpuStep::CpuStep(const ModelConfig& config, const PackedLlama& model, ThreadTeam& team,
                 at::ScalarType products, CpuPath path)
    : config_(config),
      model_(model),
      team_(team),
      path_(path),
      vector_(vector_kernels(path)),
      rounding_(products == at::kBFloat16 ? &linear_kernels(path) : nullptr),
      rotary_(config, at::kCPU),
      attention_(config, path, team.size()),
      hidden_(config.hidden_size),
      q_(config.num_attention_heads * config.head_dim),
      k_(config.num_key_value_heads * config.head_dim),
      v_(config.num_key_value_heads * config.head_dim),
      normed_(config.hidden_size, rounding_),
      mixed_(config.num_attention_heads * config.head_dim, rounding_),
      gate_(config.intermediate_size, rounding_) {
  for (int rank = 0; rank < team.size(); ++rank) {
    Scratch& scratch = scratch_.emplace_back(ProductRows(config.hidden_size, rounding_));
    scratch.row.reserve(padded(config.hidden_size));
    scratch.normed.reserve(1);
    scratch.rounded.resize(static_cast<size_t>(config.head_dim));
  }
}

void CpuStep::run(const Batch& batch, const KVCache& cache, const ForwardRequest& request,
                  StepOutput& result) {
  const at::ScalarType stored = rounding_ == nullptr ? at::kFloat : at::kBFloat16;
  if (cache.dtype() != stored || !cache.device().is_cpu()) {
    throw Error(ErrorCode::kInternal, "the key-value cache was made for another model");
  }
  prepare_rotation(batch);
  for (auto& maps : result.attention.maps) {
    for (const AttentionRow& row : batch.rows) {
      maps.push_back(
          at::zeros({config_.num_attention_heads, row.count, row.first + row.count}, at::kFloat));
    }
  }
  const bool keep_all = !request.map_layers.empty();
  const bool keep_selected = request.attention_statistics || request.padded_slots > 0;
  bad_query_ = bad_layer_ = kNone;
  for (int64_t begin = 0; begin < batch.tokens();) {
    const Slab slab = next_slab(batch, begin, keep_all || keep_selected);
    begin = slab.end;
    for (RowBuffer* rows : {&hidden_, &q_, &k_, &v_}) rows->reserve(slab.tokens());
    for (ProductRows* rows : {&normed_, &mixed_, &gate_}) rows->reserve(slab.tokens());
    for (Scratch& scratch : scratch_) {
      for (FloatBuffer* part : {&scratch.gate, &scratch.up})
        part->reserve(slab.tokens() * PackedLinear::kPieceOutputs);
    }
    attention_.plan(batch, slab.begin, slab.end, keep_selected, keep_all);
    team_.run([&](WorkShare share) {
      const amx::KeptTiles tiles(path_);
      embed(slab, share);
      for (int64_t layer = 0; layer < model_.layers(); ++layer) {
        run_layer(layer, slab, cache, request, result.attention, share);
        if (!request.check_layers) continue;
        check(layer, slab, share);
      }
      if (request.logits) run_head(slab, result.logits, share);
    });
    if (bad_layer_ != kNone) throw_bad_layer(bad_layer_);
    if (bad_query_ != kNone) throw_bad_logits(batch, bad_query_);
  }
}

CpuStep::Slab CpuStep::next_slab(const Batch& batch, int64_t begin, bool keep) const {
  int64_t end = begin, scratch = 0;
  size_t row = 0;
  while (end < batch.tokens() && end - begin < kSlabTokens) {
    while (end >= batch.rows[row].begin + batch.rows[row].count) ++row;
    const int64_t position = batch.rows[row].first + end - batch.rows[row].begin;
    scratch += attention_.scratch_floats(position, keep);
    if (scratch > kSlabScratchFloats && end > begin) break;
    ++end;
  }
  const auto selected = [&](int64_t token) {
    return std::lower_bound(batch.selected.begin(), batch.selected.end(), token) -
           batch.selected.begin();
  };
  return {batch, begin, end, selected(begin), selected(end)};
}

void CpuStep::prepare_rotation(const Batch& batch) {
  int64_t longest = 0;
  for (const auto& range : batch.ranges) longest = std::max(longest, range.first + range.count);
  const bool dynamic = config_.rope.type == RopeConfig::Type::kDynamic;
  const bool own = dynamic && longest > config_.max_position_embeddings;
  if (own) {
    dynamic_ = rotary_.at_positions(batch.ranges, at::kFloat);
  } else if (!table_.cos.defined() || table_.cos.size(0) < longest) {
    constexpr int64_t kLeastPositions = 512;
    // A longer table would stretch dynamic frequencies.
    const RotaryEmbedding::Range all{
        0, dynamic ? config_.max_position_embeddings : std::max(kLeastPositions, 2 * longest)};
    table_ = rotary_.at_positions({&all, 1}, at::kFloat);
  }
  const RotaryEmbedding::Rotation& rotation = own ? dynamic_ : table_;
  const float *cos = rotation.cos.const_data_ptr<float>(),
              *sin = rotation.sin.const_data_ptr<float>();
  cos_.clear();
  sin_.clear();
  int64_t token = 0;
  for (const auto& range : batch.ranges) {
    for (int64_t i = 0; i < range.count; ++i, ++token) {
      const int64_t at = (own ? token : range.first + i) * config_.head_dim;
      cos_.push_back(cos + at);
      sin_.push_back(sin + at);
    }
  }
}

void CpuStep::embed(const Slab& slab, WorkShare share) {
  team_.stage(share, slab.tokens(), [&](int64_t i) {
    model_.embed(slab.batch.token_ids[static_cast<size_t>(slab.begin + i)], hidden_.row(i));
  });
}

void CpuStep::run_layer(int64_t index, const Slab& slab, const KVCache& cache,
                        const ForwardRequest& request, const AttentionOutput& wanted,
                        WorkShare share) {
  const PackedLlama::Layer& layer = model_.layer(index);
  const int64_t rows = slab.tokens();
  const RaggedAttention::Layer attention = attention_layer(index, cache, request, wanted);
  const auto hidden = [&](int64_t row) { return hidden_.row(row); };
  const auto fetch_keys = [&] {
    if (!attention_.fetch_ahead(attention, share.rank)) hwy::Pause();
  };
  Upcoming& upcoming = scratch_[static_cast<size_t>(share.rank)].upcoming;
  const auto expect = [&](const PackedLinear& product) {
    upcoming.expect(product.weights_from(share.begin(product.pieces())));
  };
  const auto stage = [&](ThreadTeam::Pieces pieces, const auto& work) {
    team_.stage(share, pieces, work, [&] { upcoming.fetch(); });
  };

  attention_.begin_layer(share);
  PackedLinear::Input normed = normalise(rows, hidden, layer.input_norm, share);
  const auto project = [&](int64_t piece) {
    for (const auto& [product, to] :
         {std::pair{&layer.q, &q_}, std::pair{&layer.k, &k_}, std::pair{&layer.v, &v_}}) {
      if (piece < product->pieces()) {
        return product->forward_piece(normed, rows, part(*to, *product, piece), piece);
      }
      piece -= product->pieces();
    }
  };
  const int64_t projections = layer.q.pieces() + layer.k.pieces() + layer.v.pieces();
  team_.stage(share, projections, project, fetch_keys);
  const auto place_piece = [&](int64_t piece) { place(index, slab, cache, piece, share.rank); };
  team_.stage(share, rows * config_.num_key_value_heads, place_piece, fetch_keys);

  expect(layer.o);
  const RaggedAttention::Put put = [&](int64_t row, int64_t head, int64_t heads,
                                       const float* outputs) {
    mixed_.put(row, head * config_.head_dim, (head + heads) * config_.head_dim, outputs);
  };
  stage(attention_.attend_pieces(),
        [&](int64_t piece) { attention_.attend(attention, piece, share.rank, put); });

  expect(layer.gate_and_up.first);
  const int64_t comparisons = attention_.compare_pieces(attention);
  stage({comparisons, layer.o.pieces()}, [&](int64_t piece) {
    if (piece < comparisons) return attention_.compare(attention, piece);
    piece -= comparisons;
    layer.o.forward_piece(mixed_.input(), rows, part(hidden_, layer.o, piece), piece,
                          PackedLinear::Store::kAdd);
  });
  normed = normalise(rows, hidden, layer.post_attention_norm, share);

  expect(layer.down);
  const int64_t expansions = layer.gate_and_up.first.pieces();
  stage({expansions, attention_.finish_pieces(attention)}, [&](int64_t piece) {
    if (piece >= expansions) return attention_.finish(attention, piece - expansions);
    expand(layer, rows, normed, piece, share.rank);
  });

  expect(index + 1 < model_.layers() ? model_.layer(index + 1).q : model_.head());
  stage(layer.down.pieces(), [&](int64_t piece) {
    layer.down.forward_piece(gate_.input(), rows, part(hidden_, layer.down, piece), piece,
                             PackedLinear::Store::kAdd);
  });
}

void CpuStep::expand(const PackedLlama::Layer& layer, int64_t rows, PackedLinear::Input x,
                     int64_t piece, int rank) {
  constexpr int64_t kWidth = PackedLinear::kPieceOutputs;
  const auto& [gate, up] = layer.gate_and_up;
  const Scratch& scratch = scratch_[static_cast<size_t>(rank)];
  float *const gates = scratch.gate.data(), *const ups = scratch.up.data();
  for (const auto& [product, to] : {std::pair{&gate, gates}, std::pair{&up, ups}}) {
    product->forward_piece(x, rows, {to, kWidth}, piece);
  }
  vector_.silu_multiply(gates, ups, rows * kWidth);
  const auto [begin, end] = gate.outputs_of_piece(piece);
  gate_.put(0, rows, begin, end, gates, kWidth);
}

template <class Row>
PackedLinear::Input CpuStep::normalise(int64_t rows, const Row& row, const float* weight,
                                       WorkShare share) {
  Scratch& own = scratch_[static_cast<size_t>(share.rank)];
  const ProductRows& to = rows == 1 ? own.normed : normed_;
  const auto normalise_row = [&](int64_t i) {
    vector_.rms_norm(row(i), weight, config_.hidden_size, static_cast<float>(config_.rms_norm_eps),
                     own.row.data());
    to.put(i, 0, config_.hidden_size, own.row.data());
  };
  if (rows == 1) {
    normalise_row(0);
  } else {
    team_.stage(share, rows, normalise_row, [&] { own.upcoming.fetch(); });
  }
  return to.input();
}

void CpuStep::place(int64_t layer, const Slab& slab, const KVCache& cache, int64_t piece,
                    int rank) {
  const int64_t kv_heads = config_.num_key_value_heads, dim = config_.head_dim;
  const int64_t group = config_.num_attention_heads / kv_heads;
  const int64_t row = piece / kv_heads, kv_head = piece % kv_heads;
  const auto token = static_cast<size_t>(slab.begin + row);
  float* const key = k_.row(row) + kv_head * dim;
  const float* const value = v_.row(row) + kv_head * dim;
  const auto rotate = [&] {
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
      vector_.rotate(q_.row(row) + head * dim, cos_[token], sin_[token], dim);
    }
    vector_.rotate(key, cos_[token], sin_[token], dim);
  };
  const int64_t offset = slab.batch.offsets[token];
  const int64_t at = slab.batch.block_numbers[token] * cache.values(layer).stride(0) +
                     kv_head * KVCache::kBlockTokens * dim;
  if (cache.dtype() == at::kFloat) {
    rotate();
    float* const keys = cache.keys(layer).mutable_data_ptr<float>() + at + offset;
    for (int64_t d = 0; d < dim; ++d) keys[d * KVCache::kBlockTokens] = key[d];
    std::copy_n(value, dim, cache.values(layer).mutable_data_ptr<float>() + at + offset * dim);
    return;
  }
  auto* const keys = static_cast<uint16_t*>(cache.keys(layer).mutable_data_ptr()) + at + 2 * offset;
  auto* const values = static_cast<uint16_t*>(cache.values(layer).mutable_data_ptr()) + at +
                       offset / 2 * 2 * dim + offset % 2;
  // A key is a little of each of its block's lines.
  for (int64_t d = 0; d < dim; d += 2) prefetch_to_write(keys + d * KVCache::kBlockTokens);
  constexpr int64_t kLinePairs = kLineBytes / 4;
  for (int64_t d = 0; d < dim; d += kLinePairs) prefetch_to_write(values + 2 * d);
  rotate();
  uint16_t* const rounded = scratch_[static_cast<size_t>(rank)].rounded.data();
  vector_.round(key, dim, rounded);
  for (int64_t d = 0; d < dim; d += 2)
    std::memcpy(keys + d * KVCache::kBlockTokens, rounded + d, 4);
  vector_.round(value, dim, rounded);
  for (int64_t d = 0; d < dim; ++d) values[2 * d] = rounded[d];
}

void CpuStep::run_head(const Slab& slab, const at::Tensor& logits, WorkShare share) {
  const int64_t queries = slab.queries(), vocabulary = config_.vocab_size;
  if (queries == 0) return;  // of a long prompt, all slabs but the last
  const auto selected = [&](int64_t i) {
    return hidden_.row(slab.batch.selected[static_cast<size_t>(slab.first_selected + i)] -
                       slab.begin);
  };
  const PackedLinear::Input normed = normalise(queries, selected, model_.final_norm(), share);
  float* const to = logits.mutable_data_ptr<float>() + slab.first_selected * vocabulary;
  const PackedLinear& head = model_.head();
  team_.stage(share, head.pieces(), [&](int64_t piece) {
    bool bad = false;
    const auto [begin, end] = head.outputs_of_piece(piece);
    head.forward_piece(normed, queries, {to + begin, vocabulary, &bad}, piece);
    if (!bad) return;
    for (int64_t i = 0; i < queries; ++i) {
      const float* const row = to + i * vocabulary;
      const auto is_bad = [](float x) { return !(x <= std::numeric_limits<float>::max()); };
      if (std::any_of(row + begin, row + end, is_bad))
        lower_to(bad_query_, slab.first_selected + i);
    }
  });
}

void CpuStep::check(int64_t layer, const Slab& slab, WorkShare share) {
  team_.stage(share, slab.tokens(), [&](int64_t i) {
    const float* const row = hidden_.row(i);
    const bool finite =
        std::all_of(row, row + config_.hidden_size, [](float x) { return std::isfinite(x); });
    if (!finite) lower_to(bad_layer_, layer);
  });
}

RaggedAttention::Layer CpuStep::attention_layer(int64_t layer, const KVCache& cache,
                                                const ForwardRequest& request,
                                                const AttentionOutput& wanted) const {
  RaggedAttention::Layer part{
      .q = q_.row(0),
      .q_stride = q_.stride(),
      .cache = cache.dtype() == at::kFloat ? CacheType::kFloat32 : CacheType::kBfloat16,
      .keys = cache.keys(layer).const_data_ptr(),
      .values = cache.values(layer).const_data_ptr(),
      .block_stride = cache.values(layer).stride(0),
      .window = config_.attention_windows[static_cast<size_t>(layer)]};
  const int64_t heads = config_.num_attention_heads, layers = config_.num_hidden_layers;
  if (request.attention_statistics) {
    part.per_head_stride = layers * heads * kHeadStatistics;
    part.per_head = wanted.per_head.mutable_data_ptr<float>() + layer * heads * kHeadStatistics;
    part.per_layer_stride = layers * kLayerStatistics;
    part.per_layer = wanted.per_layer.mutable_data_ptr<float>() + layer * kLayerStatistics;
  }
  if (request.padded_slots > 0 && layer + 1 == layers) {
    part.padded_slots = request.padded_slots;
    part.padded_head = wanted.padded_head.mutable_data_ptr<float>();
    part.padded_mean_deviation = wanted.padded_mean_abs_deviation.mutable_data_ptr<float>();
  }
  for (size_t i = 0; i < request.map_layers.size(); ++i) {
    // Filled in through the tensors' own storage; the list itself does not change.
    if (request.map_layers[i] == layer) part.maps = &wanted.maps[i];
  }
  return part;
}

}  // namespace surprisal
