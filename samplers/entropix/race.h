#pragma once

#include <cstdint>
#include <vector>

#include "samplers/entropix/noise.h"
#include "samplers/sampler.h"

namespace surprisal {

/// Settings of Entropix's `_sample`.
struct RaceSettings {
  float temperature;
  float top_p;
  int64_t top_k;
  float min_p;
};

/// How a variant goes about it.
struct RaceRules {
  /// The race has that many entries, of which all but the top_k have p = 0 (v4_server); 0: top_k.
  size_t entries = 0;
  bool equals_upwards = false;  ///< equals stand in the order of their ids, as in a sort upwards
  Fixes fixes = {};
};

/// Entropix's truncated distribution, as it computes it: the top k of softmax(logits / T) in
/// *ascending* order, from which every token is dropped whose predecessors' mass exceeds top_p.
/// So the most likely tokens go, never the tail; and min_p never acts, because it masks the logits
/// after the probabilities were taken from them. Both can be fixed.
/// Source: xjdr-alt/entropix@e55e9a3 entropix/sampler.py _sample; @9d41be6 for `entries`.
class RaceDistribution {
 public:
  RaceDistribution(const StepView& view, const RaceSettings& settings, const RaceRules& rules);

  /// argmax p_i / q_i, ascending position by position; the least likely among equals.
  TokenId draw(const RaceNoise& noise, std::optional<size_t> number = {},
               size_t draws_of_token = 1) const;

  /// Enters temperature, kept, the token's probability and (where the view asks) the distribution.
  void record(TokenId token, const StepView& view, Decision& decision) const;

 private:
  std::vector<TokenId> tokens_;       ///< least likely first
  std::vector<float> probabilities_;  ///< renormalised; 0 where dropped
  float temperature_;
};

}  // namespace surprisal
