#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace surprisal {

/// Per layer and head, of one query's attention distribution p over the valid keys.
enum class HeadStatistic : uint8_t {
  kEntropy,     ///< nats
  kVarentropy,  ///< nats^2
  kMaxProbability,
  kSinkMass,      ///< weight on the first token
  kMeanAbsScore,  ///< mean |raw score| over the valid keys
  kLogSumExp,     ///< of the raw scores, nats
};
inline constexpr int64_t kHeadStatistics = 6;

/// Per layer, over its heads.
enum class LayerStatistic : uint8_t {
  kAgreement,              ///< 1 - mean over heads of the total-variation distance to the mean head
  kAgreementRescaled,      ///< (agreement - 1/H) / (1 - 1/H), in [0, 1]; 1 for a single head
  kAgreementWithoutFirst,  ///< agreement with the first token left out and the rest renormalised
};
inline constexpr int64_t kLayerStatistics = 3;

/// Attention statistics of one query (the newest token of one row), on the host. Raw scores are
/// q.k/sqrt(D) before the softmax. Masked and empty slots never enter.
struct AttentionStatistics {
  int64_t layers = 0, heads = 0;
  int64_t valid_length = 0;          ///< keys the query could see
  std::span<const float> per_head;   ///< [L, H, kHeadStatistics]
  std::span<const float> per_layer;  ///< [L, kLayerStatistics]

  float head(int64_t layer, int64_t head_index, HeadStatistic s) const {
    return per_head[static_cast<size_t>((layer * heads + head_index) * kHeadStatistics +
                                        static_cast<int64_t>(s))];
  }
  float layer(int64_t layer_index, LayerStatistic s) const {
    return per_layer[static_cast<size_t>(layer_index * kLayerStatistics + static_cast<int64_t>(s))];
  }
};

/// Means over the chosen layers (empty = all) and their heads.
struct AttentionMeans {
  double entropy = 0, varentropy = 0, agreement = 0, sink_mass = 0;
  double normalized_entropy = 0;  ///< entropy / ln(valid_length); 0 when valid_length is 1
};
AttentionMeans attention_means(const AttentionStatistics& statistics,
                               std::span<const int64_t> layers = {});

/// Last-layer statistics as if the cache were padded with zero scores to `slots` slots, all of them
/// inside the softmax: what Entropix measures (reference: xjdr-alt/entropix@e55e9a3 model.py,
/// sampler.py). Padding merges in closed form.
struct PaddedAttentionStatistics {
  int64_t slots = 0;
  std::vector<float> entropy;         ///< [H] nats
  std::vector<float> mean_abs_score;  ///< [H] sum |score| / slots
  double mean_abs_deviation = 0;      ///< mean over heads and slots of |P - mean over heads of P|
};

/// The plain form, from raw scores; the oracle for faster ones.
/// @param scores  [H, S] raw scores of one layer's newest query over its valid keys
/// @param slots   >= S
PaddedAttentionStatistics padded_attention_statistics(std::span<const float> scores, int64_t heads,
                                                      int64_t slots);

/// Statistics of one layer from raw scores over valid keys.
/// @param scores    [H, S]
/// @param per_head  out, [H, kHeadStatistics];  @param per_layer  out, [kLayerStatistics]
void attention_layer_statistics(std::span<const float> scores, int64_t heads,
                                std::span<float> per_head, std::span<float> per_layer);

}  // namespace surprisal
