#include "models/attention_cpu.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "lib/attention_statistics.h"
#include "lib/error.h"
#include "models/kv_cache.h"
#include "models/simd.h"
#include "models/softmax_state.h"

namespace surprisal {
namespace {

constexpr int64_t kBlock = KVCache::kBlockTokens;
static_assert(kBlock == simd::kPaddingUnit, "the scores of a block are padded");

struct Query {
  size_t row;             ///< in the input's rows
  int64_t index;          ///< in q
  int64_t begin, end;     ///< visible positions
  int64_t selected = -1;  ///< row of the record, -1 = not recorded
  size_t scores = 0;      ///< of a recorded query: where its [H, padded()] exponentials stand

  /// Scores are stored from the block boundary at or before `begin`, in whole blocks.
  int64_t first_block() const { return begin / kBlock; }
  int64_t padded() const { return ((end + kBlock - 1) / kBlock - first_block()) * kBlock; }
};

/// What one head leaves behind for the comparison between heads. Its exponentials u exclude the
/// sequence's first token, whose weight can exceed all others by more than float32 resolves.
struct HeadSummary {
  float first = 0;          ///< probability of the first token (0 when not visible)
  float scale = 0;          ///< probability = u * scale
  float scale_without = 0;  ///< the same with the first token left out
  float padded_first = 0, padded_scale = 0, padded_empty = 0;  ///< as if padded with zero scores
};

/// Σ over heads of |x - mean|.
double deviation(const std::vector<HeadSummary>& heads, float HeadSummary::*member) {
  double mean = 0, total = 0;
  for (const HeadSummary& head : heads) mean += head.*member;
  mean /= static_cast<double>(heads.size());
  for (const HeadSummary& head : heads) total += std::abs(head.*member - mean);
  return total;
}

void widen(const float* from, int64_t count, float* to) {
  std::copy(from, from + count, to);
}
void widen(const at::BFloat16* from, int64_t count, float* to) {
  simd::widen_bfloat16(reinterpret_cast<const uint16_t*>(from), count, to);
}
void widen(const at::Half* from, int64_t count, float* to) {
  simd::widen_float16(reinterpret_cast<const uint16_t*>(from), count, to);
}

template <typename T>
class Kernel {
 public:
  Kernel(const AttentionInput& input, const AttentionRecord& record, at::Tensor& output)
      : record_(record),
        rows_(input.rows),
        heads_(input.q.size(1)),
        dim_(input.q.size(2)),
        kv_heads_(input.keys.size(1)),
        group_(heads_ / kv_heads_),
        scale_(static_cast<float>(input.scale)),
        q_(input.q.const_data_ptr<T>()),
        keys_(input.keys.const_data_ptr<T>()),
        values_(input.values.const_data_ptr<T>()),
        output_(output.mutable_data_ptr<T>()) {
    size_t scores = 0;
    int64_t selected = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      const AttentionRow& row = rows_[r];
      if (record.maps != nullptr)
        record.maps->push_back(at::zeros({heads_, row.count, row.first + row.count}, at::kFloat));
      for (int64_t i = 0; i < row.count; ++i) {
        const int64_t end = row.first + i + 1;
        const int64_t begin = input.window > 0 ? std::max<int64_t>(0, end - input.window) : 0;
        Query query{r, row.begin + i, begin, end};
        const bool chosen = record.all_queries || i + 1 == row.count;
        if (chosen && record.wants_selected()) {
          query.selected = selected++;
          query.scores = scores;
          scores += static_cast<size_t>(heads_ * query.padded());
        }
        queries_.push_back(query);
      }
    }
    scores_.resize(scores);
    summaries_.assign(static_cast<size_t>(selected),
                      std::vector<HeadSummary>(static_cast<size_t>(heads_)));
  }

  void run() {
    const auto count = static_cast<int64_t>(queries_.size());
    at::parallel_for(0, count * kv_heads_, 1, [&](int64_t from, int64_t to) {
      Scratch scratch;
      for (int64_t item = from; item < to; ++item)
        attend(queries_[static_cast<size_t>(item / kv_heads_)], item % kv_heads_, scratch);
    });
    if (!record_.wants_selected()) return;
    at::parallel_for(0, count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        if (queries_[static_cast<size_t>(i)].selected >= 0)
          compare_heads(queries_[static_cast<size_t>(i)]);
    });
  }

 private:
  struct Scratch {
    std::vector<float> query, block, scores, sums;
  };

  /// [count, D] of one block as float, converted where the cache is 16-bit.
  const float* block_of(const T* cache, const Query& query, int64_t block, int64_t kv_head,
                        int64_t count, std::vector<float>& scratch) const {
    const int64_t number = rows_[query.row].blocks[static_cast<size_t>(block)];
    const T* data = cache + (number * kv_heads_ + kv_head) * kBlock * dim_;
    if constexpr (std::is_same_v<T, float>) {
      return data;
    } else {
      scratch.resize(static_cast<size_t>(count * dim_));
      widen(data, count * dim_, scratch.data());
      return scratch.data();
    }
  }

  /// The heads of one group for one query.
  void attend(const Query& query, int64_t kv_head, Scratch& scratch) {
    const int64_t stride = query.padded(), first_head = kv_head * group_;
    const T* q = q_ + (query.index * heads_ + first_head) * dim_;
    scratch.query.resize(static_cast<size_t>(group_ * dim_));
    widen(q, group_ * dim_, scratch.query.data());
    float* scores = nullptr;
    if (query.selected >= 0) {
      scores = scores_.data() + query.scores + static_cast<size_t>(first_head * stride);
    } else {
      scratch.scores.resize(static_cast<size_t>(group_ * stride));
      scores = scratch.scores.data();
    }
    for (int64_t block = query.first_block(); block * kBlock < query.end; ++block) {
      const int64_t count = std::min(kBlock, query.end - block * kBlock);
      const float* k = block_of(keys_, query, block, kv_head, count, scratch.block);
      simd::dot_products(scratch.query.data(), group_, k, count, dim_, scale_,
                         scores + (block - query.first_block()) * kBlock, stride);
    }
    scratch.sums.assign(static_cast<size_t>(group_ * dim_), 0);
    std::vector<HeadSummary> heads(static_cast<size_t>(group_));
    for (int64_t g = 0; g < group_; ++g)
      heads[static_cast<size_t>(g)] = normalise(query, first_head + g, scores + g * stride);
    for (int64_t block = query.first_block(); block * kBlock < query.end; ++block) {
      const int64_t count = std::min(kBlock, query.end - block * kBlock);
      const float* v = block_of(values_, query, block, kv_head, count, scratch.block);
      simd::accumulate(scores + (block - query.first_block()) * kBlock, group_, stride, v, count,
                       dim_, scratch.sums.data());
    }
    const float* v_first =
        query.begin == 0 ? block_of(values_, query, 0, kv_head, 1, scratch.block) : nullptr;
    T* out = output_ + (query.index * heads_ + first_head) * dim_;
    for (int64_t g = 0; g < group_; ++g) {
      const HeadSummary& head = heads[static_cast<size_t>(g)];
      for (int64_t d = 0; d < dim_; ++d) {
        float value = scratch.sums[static_cast<size_t>(g * dim_ + d)] * head.scale;
        if (v_first != nullptr) value += v_first[d] * head.first;
        out[g * dim_ + d] = static_cast<T>(value);
      }
      if (record_.maps != nullptr) write_map(query, first_head + g, head, scores + g * stride);
      if (query.selected >= 0)
        summaries_[static_cast<size_t>(query.selected)][static_cast<size_t>(first_head + g)] = head;
    }
  }

  /// One line of an attention map, from the head's exponentials.
  void write_map(const Query& query, int64_t head, const HeadSummary& summary, const float* u) {
    const AttentionRow& row = rows_[query.row];
    const int64_t length = row.first + row.count, offset = query.first_block() * kBlock;
    float* line = (*record_.maps)[query.row].mutable_data_ptr<float>() +
                  (head * row.count + query.index - row.begin) * length;
    for (int64_t position = query.begin; position < query.end; ++position)
      line[position] = u[position - offset] * summary.scale;
    if (query.begin == 0) line[0] = summary.first;
  }

  /// Turns one head's scores into exponentials (0 at the first token and at places not visible) and
  /// records its statistics.
  HeadSummary normalise(const Query& query, int64_t head, float* scores) {
    const int64_t offset = query.first_block() * kBlock, padded = query.padded();
    const int64_t from = query.begin - offset, to = query.end - offset;
    const bool sees_first = query.begin == 0;
    const float magnitude =
        query.selected >= 0 ? simd::sum_of_magnitudes(scores + from, to - from) : 0;
    SoftmaxState first, rest;
    if (sees_first) first = SoftmaxState::of(scores[0]);
    std::fill(scores, scores + from + (sees_first ? 1 : 0), simd::kPadding);
    std::fill(scores + to, scores + padded, simd::kPadding);
    if (to - from > (sees_first ? 1 : 0)) {
      const float top = simd::maximum(scores, padded);
      const simd::Sums sums = simd::exponentials(scores, padded, top);
      rest = {top, sums.z, sums.a, sums.b};
    } else {
      std::fill(scores, scores + padded, 0.f);
    }
    const SoftmaxState all = first.merged(rest);
    HeadSummary summary;
    if (sees_first) summary.first = static_cast<float>(all.probability(first.m));
    if (rest.z != 0) {
      summary.scale = static_cast<float>(all.probability(rest.m));
      summary.scale_without = static_cast<float>(1 / rest.z);
    }
    if (query.selected >= 0) record_head(query, head, all, first, rest, magnitude, summary);
    return summary;
  }

  void record_head(const Query& query, int64_t head, const SoftmaxState& all,
                   const SoftmaxState& first, const SoftmaxState& rest, float magnitude,
                   HeadSummary& summary) {
    const int64_t valid = query.end - query.begin;
    if (record_.wants_statistics()) {
      float* out = record_.per_head.mutable_data_ptr<float>() +
                   query.selected * record_.per_head.stride(0) + head * kHeadStatistics;
      const auto put = [&](HeadStatistic statistic, double value) {
        out[static_cast<int64_t>(statistic)] = static_cast<float>(value);
      };
      put(HeadStatistic::kEntropy, all.entropy());
      put(HeadStatistic::kVarentropy, all.varentropy());
      put(HeadStatistic::kMaxProbability, 1 / all.z);
      put(HeadStatistic::kSinkMass, summary.first);
      put(HeadStatistic::kMeanAbsScore, magnitude / static_cast<double>(valid));
      put(HeadStatistic::kLogSumExp, all.log_sum_exp());
    }
    if (record_.padded_head.defined()) {
      const int64_t empty = std::max<int64_t>(0, record_.padded_slots - valid);
      const SoftmaxState padded =
          empty > 0 ? all.merged(SoftmaxState::of(0, static_cast<double>(empty))) : all;
      float* out = record_.padded_head.mutable_data_ptr<float>() +
                   query.selected * record_.padded_head.stride(0) + head * 2;
      out[0] = static_cast<float>(padded.entropy());
      out[1] = static_cast<float>(magnitude / static_cast<double>(record_.padded_slots));
      if (query.begin == 0) summary.padded_first = static_cast<float>(padded.probability(first.m));
      if (rest.z != 0) summary.padded_scale = static_cast<float>(padded.probability(rest.m));
      if (empty > 0) summary.padded_empty = static_cast<float>(padded.probability(0));
    }
  }

  /// Second pass over the recorded exponentials of one query: how far heads differ.
  void compare_heads(const Query& query) {
    const std::vector<HeadSummary>& heads = summaries_[static_cast<size_t>(query.selected)];
    const auto count = static_cast<double>(heads.size());
    const auto total = [&](float HeadSummary::*scale) {
      std::vector<float> scales;
      for (const HeadSummary& head : heads) scales.push_back(head.*scale);
      return simd::total_deviation(scores_.data() + query.scores, heads_, query.padded(),
                                   query.padded(), scales.data());
    };
    if (record_.wants_statistics()) {
      // Total variation is half the summed |difference|.
      const double distance =
          (total(&HeadSummary::scale) + deviation(heads, &HeadSummary::first)) / (2 * count);
      const double without = total(&HeadSummary::scale_without) / (2 * count);
      float* out = record_.per_layer.mutable_data_ptr<float>() +
                   query.selected * record_.per_layer.stride(0);
      const auto put = [&](LayerStatistic statistic, double value) {
        out[static_cast<int64_t>(statistic)] = static_cast<float>(value);
      };
      const double agreement = 1 - distance;
      put(LayerStatistic::kAgreement, agreement);
      put(LayerStatistic::kAgreementRescaled,
          heads_ > 1 ? (agreement - 1 / count) / (1 - 1 / count) : 1);
      put(LayerStatistic::kAgreementWithoutFirst, 1 - without);
    }
    if (record_.padded_head.defined()) {
      const auto slots = static_cast<double>(record_.padded_slots);
      const double empty = std::max(0.0, slots - static_cast<double>(query.end - query.begin));
      const double summed = total(&HeadSummary::padded_scale) +
                            deviation(heads, &HeadSummary::padded_first) +
                            empty * deviation(heads, &HeadSummary::padded_empty);
      record_.padded_mean_abs_deviation.mutable_data_ptr<float>()[query.selected] =
          static_cast<float>(summed / (count * slots));
    }
  }

  const AttentionRecord& record_;
  std::span<const AttentionRow> rows_;
  int64_t heads_, dim_, kv_heads_, group_;
  float scale_;
  const T *q_, *keys_, *values_;
  T* output_;
  std::vector<Query> queries_;
  std::vector<float> scores_;                        ///< of the recorded queries
  std::vector<std::vector<HeadSummary>> summaries_;  ///< [recorded queries][H]
};

}  // namespace

at::Tensor attention_cpu(const AttentionInput& input, const AttentionRecord& record) {
  const at::Tensor q = input.q.contiguous();
  at::Tensor output = at::empty_like(q);
  const AttentionInput contiguous{q,          input.keys,   input.values,
                                  input.rows, input.window, input.scale};
  switch (q.scalar_type()) {
    case at::kFloat:
      Kernel<float>(contiguous, record, output).run();
      break;
    case at::kBFloat16:
      Kernel<at::BFloat16>(contiguous, record, output).run();
      break;
    case at::kHalf:
      Kernel<at::Half>(contiguous, record, output).run();
      break;
    default:
      throw Error(ErrorCode::kInternal, "attention in a dtype no model of ours has");
  }
  return output;
}

}  // namespace surprisal
