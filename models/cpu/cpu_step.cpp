#include "models/cpu/cpu_step.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/error.h"

namespace surprisal {
namespace {

// Enough rows to use the products' tiles fully while a slab's activations stay in the caches.
constexpr int64_t kSlabTokens = 256;
constexpr int64_t kSlabScratchFloats = int64_t{16} << 20;
constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

void lower_to(std::atomic<int64_t>& least, int64_t value) {
  int64_t seen = least.load();
  while (value < seen && !least.compare_exchange_weak(seen, value)) {
  }
}

PackedLinear::Output output(const RowBuffer& rows) {
  return {rows.row(0), rows.stride()};
}

}  // namespace

CpuStep::CpuStep(const ModelConfig& config, const PackedLlama& model, ThreadTeam& team,
                 at::ScalarType products, CpuPath path)
    : config_(config),
      model_(model),
      team_(team),
      vector_(vector_kernels(path)),
      rounding_(products == at::kBFloat16 ? &linear_kernels(path) : nullptr),
      rotary_(config, at::kCPU),
      attention_(config, path, team.size()),
      hidden_(config.hidden_size),
      q_(config.num_attention_heads * config.head_dim),
      k_(config.num_key_value_heads * config.head_dim),
      v_(config.num_key_value_heads * config.head_dim),
      up_(config.intermediate_size),
      normed_(config.hidden_size, rounding_),
      mixed_(config.num_attention_heads * config.head_dim, rounding_),
      gate_(config.intermediate_size, rounding_) {}

void CpuStep::run(const Batch& batch, const KVCache& cache, const ForwardRequest& request,
                  StepOutput& result) {
  if (cache.dtype() != at::kFloat || !cache.keys_are_transposed()) {
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
    for (RowBuffer* rows : {&hidden_, &q_, &k_, &v_, &up_}) rows->reserve(slab.tokens());
    for (ProductRows* rows : {&normed_, &mixed_, &gate_}) rows->reserve(slab.tokens());
    attention_.plan(batch, slab.begin, slab.end, keep_selected, keep_all);
    team_.run([&](WorkShare share) {
      embed(slab, share);
      team_.wait();
      for (int64_t layer = 0; layer < model_.layers(); ++layer) {
        run_layer(layer, slab, cache, request, result.attention, share);
        if (!request.check_layers) continue;
        check(layer, slab, share);
        team_.wait();
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
  for (int64_t i = share.begin(slab.tokens()); i < share.end(slab.tokens()); ++i) {
    model_.embed(slab.batch.token_ids[static_cast<size_t>(slab.begin + i)], hidden_.row(i));
  }
}

void CpuStep::run_layer(int64_t index, const Slab& slab, const KVCache& cache,
                        const ForwardRequest& request, const AttentionOutput& wanted,
                        WorkShare share) {
  const PackedLlama::Layer& layer = model_.layer(index);
  const int64_t rows = slab.tokens();
  const RaggedAttention::Layer attention = attention_layer(index, cache, request, wanted);
  const bool compares = attention.compares() || attention.maps != nullptr;

  normalise(layer.input_norm, rows, share);
  team_.wait();
  layer.q.forward(normed_.input(), rows, output(q_), share);
  layer.k.forward(normed_.input(), rows, output(k_), share);
  layer.v.forward(normed_.input(), rows, output(v_), share);
  team_.wait();
  place(index, slab, cache, share);
  team_.wait();
  attention_.attend(attention, share);
  team_.wait();
  attention_.merge(attention, share);
  finish_merged(rows, share);
  team_.wait();
  if (compares) attention_.compare(attention, share);
  layer.o.forward(mixed_.input(), rows, output(hidden_), share, PackedLinear::Store::kAdd);
  team_.wait();
  if (compares) attention_.finish(attention, share);
  normalise(layer.post_attention_norm, rows, share);
  team_.wait();
  layer.gate.forward(normed_.input(), rows, gate_.output(), share);
  layer.up.forward(normed_.input(), rows, output(up_), share);
  const auto [begin, end] = layer.gate.outputs_of(share);
  const int64_t columns = (end == config_.intermediate_size ? padded(end) : end) - begin;
  for (int64_t i = 0; i < rows; ++i) {
    vector_.silu_multiply(gate_.row(i) + begin, up_.row(i) + begin, columns);
    gate_.finish(i, begin, end);
  }
  team_.wait();
  layer.down.forward(gate_.input(), rows, output(hidden_), share, PackedLinear::Store::kAdd);
  team_.wait();
}

void CpuStep::normalise(const float* weight, int64_t rows, WorkShare share) {
  for (int64_t i = share.begin(rows); i < share.end(rows); ++i) {
    normalise_row(hidden_.row(i), weight, i);
  }
}

void CpuStep::normalise_row(const float* from, const float* weight, int64_t row) {
  vector_.rms_norm(from, weight, config_.hidden_size, static_cast<float>(config_.rms_norm_eps),
                   normed_.row(row));
  normed_.finish(row, 0, config_.hidden_size);
}

void CpuStep::finish_merged(int64_t rows, WorkShare share) {
  const int64_t heads = config_.num_attention_heads, dim = config_.head_dim;
  for (int64_t i = share.begin(rows * heads); i < share.end(rows * heads); ++i) {
    mixed_.finish(i / heads, i % heads * dim, (i % heads + 1) * dim);
  }
}

void CpuStep::place(int64_t layer, const Slab& slab, const KVCache& cache, WorkShare share) {
  const int64_t heads = config_.num_attention_heads, kv_heads = config_.num_key_value_heads;
  const int64_t dim = config_.head_dim, parts = heads + 2 * kv_heads;
  float* const keys = cache.keys(layer).mutable_data_ptr<float>();
  float* const values = cache.values(layer).mutable_data_ptr<float>();
  const int64_t block_stride = cache.values(layer).stride(0);
  const int64_t items = slab.tokens() * parts;
  for (int64_t i = share.begin(items); i < share.end(items); ++i) {
    const int64_t row = i / parts, part = i % parts;
    const auto token = static_cast<size_t>(slab.begin + row);
    if (part < heads) {
      vector_.rotate(q_.row(row) + part * dim, cos_[token], sin_[token], dim);
      continue;
    }
    const int64_t kv_head = (part - heads) % kv_heads;
    const int64_t offset = slab.batch.offsets[token];
    const int64_t at =
        slab.batch.block_numbers[token] * block_stride + kv_head * KVCache::kBlockTokens * dim;
    if (part < heads + kv_heads) {
      float* const key = k_.row(row) + kv_head * dim;
      vector_.rotate(key, cos_[token], sin_[token], dim);
      for (int64_t d = 0; d < dim; ++d) keys[at + d * KVCache::kBlockTokens + offset] = key[d];
    } else {
      std::copy_n(v_.row(row) + kv_head * dim, dim, values + at + offset * dim);
    }
  }
}

void CpuStep::run_head(const Slab& slab, const at::Tensor& logits, WorkShare share) {
  const int64_t queries = slab.queries(), vocabulary = config_.vocab_size;
  for (int64_t i = share.begin(queries); i < share.end(queries); ++i) {
    const int64_t token = slab.batch.selected[static_cast<size_t>(slab.first_selected + i)];
    normalise_row(hidden_.row(token - slab.begin), model_.final_norm(), i);
  }
  team_.wait();
  float* const to = logits.mutable_data_ptr<float>() + slab.first_selected * vocabulary;
  model_.head().forward(normed_.input(), queries, {to, vocabulary}, share);
  const auto [begin, end] = model_.head().outputs_of(share);
  for (int64_t i = 0; i < queries; ++i) {
    if (vector_.is_bad(to + i * vocabulary + begin, end - begin)) {
      lower_to(bad_query_, slab.first_selected + i);
    }
  }
}

void CpuStep::check(int64_t layer, const Slab& slab, WorkShare share) {
  for (int64_t i = share.begin(slab.tokens()); i < share.end(slab.tokens()); ++i) {
    const float* const row = hidden_.row(i);
    const bool finite =
        std::all_of(row, row + config_.hidden_size, [](float x) { return std::isfinite(x); });
    if (!finite) lower_to(bad_layer_, layer);
  }
}

RaggedAttention::Layer CpuStep::attention_layer(int64_t layer, const KVCache& cache,
                                                const ForwardRequest& request,
                                                const AttentionOutput& wanted) const {
  RaggedAttention::Layer part{.q = q_.row(0),
                              .q_stride = q_.stride(),
                              .keys = cache.keys(layer).const_data_ptr<float>(),
                              .values = cache.values(layer).const_data_ptr<float>(),
                              .block_stride = cache.values(layer).stride(0),
                              .out = mixed_.row(0),
                              .out_stride = mixed_.stride(),
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
