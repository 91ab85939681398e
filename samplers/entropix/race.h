#pragma once

#include <cstdint>
#include <vector>

#include "samplers/entropix/jax_random.h"
#include "samplers/sampler.h"

namespace surprisal {

/// Settings of Entropix's `_sample`. Its min_p never acts (the mask is applied to the logits after
/// the probabilities were taken from them), so it is not among them.
struct RaceSettings {
  float temperature;
  float top_p;
  int64_t top_k;
};

/// Entropix's truncated distribution, as it computes it: the top k of softmax(logits / T) in
/// *ascending* order, from which every token is dropped whose predecessors' mass exceeds top_p.
/// So the most likely tokens go, never the tail.
/// Source: xjdr-alt/entropix@e55e9a3 entropix/sampler.py _sample.
class RaceDistribution {
 public:
  RaceDistribution(const StepView& view, const RaceSettings& settings);

  /// argmax p_i / q_i with q ~ Exp(1) from `key`, ascending position by position; the least likely
  /// among equals.
  TokenId draw(JaxKey key) const;

  /// Enters temperature, kept, the token's probability and (where the view asks) the distribution.
  void record(TokenId token, const StepView& view, Decision& decision) const;

 private:
  struct Entry {
    TokenId token;
    float probability;  ///< renormalised; 0 where dropped
  };
  std::vector<Entry> ascending_;
  float temperature_;
};

}  // namespace surprisal
