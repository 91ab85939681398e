#include "lib/attention_statistics.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/error.h"

namespace surprisal {
namespace {

/// ln of sum e^score, and the probabilities.
double softmax(std::span<const float> scores, std::span<double> probabilities) {
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double z = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    probabilities[i] = std::exp(scores[i] - maximum);
    z += probabilities[i];
  }
  for (double& p : probabilities) p /= z;
  return maximum + std::log(z);
}

void require_heads(size_t scores, int64_t heads, const char* what) {
  if (heads <= 0 || scores == 0 || scores % static_cast<size_t>(heads) != 0)
    throw Error(ErrorCode::kInternal,
                std::string(what) + ": " + std::to_string(scores) +
                    " scores are not [H, S] with H = " + std::to_string(heads));
}

/// 1 - mean over heads of half the L1 distance to the mean head; rows of `p` [H, S] sum to one.
/// @param skip  columns left out, each row renormalised by what remains
double agreement(std::span<const double> p, size_t heads, size_t length, size_t skip) {
  std::vector<double> scale(heads, 1);
  for (size_t h = 0; h < heads && skip > 0; ++h) {
    const auto row = p.subspan(h * length, length);
    const double rest = std::accumulate(row.begin() + static_cast<ptrdiff_t>(skip), row.end(), 0.0);
    scale[h] = rest > 0 ? 1 / rest : 0;
  }
  double distance = 0;
  for (size_t s = skip; s < length; ++s) {
    double mean = 0;
    for (size_t h = 0; h < heads; ++h) mean += p[h * length + s] * scale[h];
    mean /= static_cast<double>(heads);
    for (size_t h = 0; h < heads; ++h) distance += std::abs(p[h * length + s] * scale[h] - mean);
  }
  return 1 - distance / 2 / static_cast<double>(heads);
}

}  // namespace

void attention_layer_statistics(std::span<const float> scores, int64_t heads,
                                std::span<float> per_head, std::span<float> per_layer) {
  require_heads(scores.size(), heads, "attention_layer_statistics");
  const auto head_count = static_cast<size_t>(heads);
  const size_t length = scores.size() / head_count;
  std::vector<double> p(scores.size());
  for (size_t h = 0; h < head_count; ++h) {
    const auto row = scores.subspan(h * length, length);
    const auto p_row = std::span(p).subspan(h * length, length);
    const double log_sum_exp = softmax(row, p_row);
    double entropy = 0, abs_score = 0;
    for (size_t s = 0; s < length; ++s) {
      entropy += p_row[s] * (log_sum_exp - row[s]);
      abs_score += std::abs(static_cast<double>(row[s]));
    }
    double varentropy = 0;
    for (size_t s = 0; s < length; ++s) {
      const double deviation = log_sum_exp - row[s] - entropy;
      varentropy += p_row[s] * deviation * deviation;
    }
    const auto store = [&](HeadStatistic statistic, double value) {
      per_head[h * static_cast<size_t>(kHeadStatistics) + static_cast<size_t>(statistic)] =
          static_cast<float>(value);
    };
    store(HeadStatistic::kEntropy, entropy);
    store(HeadStatistic::kVarentropy, varentropy);
    store(HeadStatistic::kMaxProbability, *std::max_element(p_row.begin(), p_row.end()));
    store(HeadStatistic::kSinkMass, p_row[0]);
    store(HeadStatistic::kMeanAbsScore, abs_score / static_cast<double>(length));
    store(HeadStatistic::kLogSumExp, log_sum_exp);
  }
  const double all = agreement(p, head_count, length, 0);
  const double floor = 1.0 / static_cast<double>(heads);
  const auto store = [&](LayerStatistic statistic, double value) {
    per_layer[static_cast<size_t>(statistic)] = static_cast<float>(value);
  };
  store(LayerStatistic::kAgreement, all);
  store(LayerStatistic::kAgreementRescaled, heads == 1 ? 1 : (all - floor) / (1 - floor));
  store(LayerStatistic::kAgreementWithoutFirst, agreement(p, head_count, length, 1));
}

AttentionMeans attention_means(const AttentionStatistics& statistics,
                               std::span<const int64_t> layers) {
  std::vector<int64_t> all;
  if (layers.empty()) {
    all.resize(static_cast<size_t>(statistics.layers));
    std::iota(all.begin(), all.end(), int64_t{0});
    layers = all;
  }
  AttentionMeans means;
  for (const int64_t layer : layers) {
    if (layer < 0 || layer >= statistics.layers)
      throw Error(ErrorCode::kConfig, "attention layer " + std::to_string(layer) +
                                          " does not exist; the model has layers 0 to " +
                                          std::to_string(statistics.layers - 1));
    for (int64_t head = 0; head < statistics.heads; ++head) {
      means.entropy += statistics.head(layer, head, HeadStatistic::kEntropy);
      means.varentropy += statistics.head(layer, head, HeadStatistic::kVarentropy);
      means.sink_mass += statistics.head(layer, head, HeadStatistic::kSinkMass);
    }
    means.agreement += statistics.layer(layer, LayerStatistic::kAgreement);
  }
  const auto layer_count = static_cast<double>(layers.size());
  const double head_count = layer_count * static_cast<double>(statistics.heads);
  means.entropy /= head_count;
  means.varentropy /= head_count;
  means.sink_mass /= head_count;
  means.agreement /= layer_count;
  if (statistics.valid_length > 1)
    means.normalized_entropy =
        means.entropy / std::log(static_cast<double>(statistics.valid_length));
  return means;
}

PaddedAttentionStatistics padded_attention_statistics(std::span<const float> scores, int64_t heads,
                                                      int64_t slots) {
  require_heads(scores.size(), heads, "padded_attention_statistics");
  const auto head_count = static_cast<size_t>(heads);
  const size_t valid = scores.size() / head_count;
  const auto total = static_cast<size_t>(slots);
  if (slots < static_cast<int64_t>(valid))
    throw Error(ErrorCode::kConfig, "a cache of " + std::to_string(slots) + " slots cannot hold " +
                                        std::to_string(valid) + " keys; raise cache_slots");
  PaddedAttentionStatistics result;
  result.slots = slots;
  std::vector<float> row(total);
  std::vector<double> p(head_count * total);
  for (size_t h = 0; h < head_count; ++h) {
    std::fill(row.begin(), row.end(), 0.0F);
    std::copy_n(scores.begin() + static_cast<ptrdiff_t>(h * valid), valid, row.begin());
    const auto p_row = std::span(p).subspan(h * total, total);
    softmax(row, p_row);
    double entropy = 0, abs_score = 0;
    for (size_t s = 0; s < total; ++s) {
      entropy -= p_row[s] * std::log(std::clamp(p_row[s], 1e-10, 1.0));  // as it clips
      abs_score += std::abs(static_cast<double>(row[s]));
    }
    result.entropy.push_back(static_cast<float>(entropy));
    result.mean_abs_score.push_back(static_cast<float>(abs_score / static_cast<double>(total)));
  }
  const double distance = 2 * (1 - agreement(p, head_count, total, 0));  // mean over heads of L1
  result.mean_abs_deviation = distance / static_cast<double>(total);
  return result;
}

}  // namespace surprisal
