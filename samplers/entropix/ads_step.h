#pragma once

#include <array>
#include <optional>
#include <vector>

#include "samplers/entropix/defects.h"
#include "samplers/sampler.h"

namespace surprisal {

/// The published settings of a version of the adaptive Dirichlet sampler (dslider_config.py). Not
/// for tuning: whoever asks for a version gets that version.
struct AdsConfig {
  double average, average_temperature,
      average_direction_entropy;  ///< coefficients of moving averages
  double cross_entropy, cross_variance_scaffold, cross_variance_naked;  ///< likewise
  double logp_base, logp_exponent;
  double perturb_base, perturb_exponent;
  std::optional<double> noise_floor;  ///< nats; log-probabilities below it become ln 1e-8
  double bilinear_diagonal, bilinear_elsewhere, linear_state, linear_naked, outlier_bias;
  double argmax_weight, argmax_bias, dirichlet_weight, dirichlet_bias;
  double target_linear, target_inverse_temperature, target_bias;
  int64_t top_k;
  bool starts_empty;       ///< from constants instead of the prompt's logits
  bool mixes_expectation;  ///< with the mean of the old Dirichlet distribution, not a draw of the
                           ///< new
  bool crossed_variances;  ///< scaffold and naked variances are fed each other's numbers
};
const AdsConfig& ads_config(EntropixVariant variant);

/// The moving averages of one request (DSState). Nats; temperature and alpha are bfloat16.
struct AdsAverages {
  std::vector<float> alpha;  ///< [V]
  std::vector<float> logp;   ///< [V]
  float temperature = 1;
  float entropy_scaffold = 0, entropy_naked = 0;
  float varentropy_scaffold = 0, varentropy_naked = 0;
  float cross_entropy_scaffold = 0, cross_entropy_naked = 0;
  float cross_variance_scaffold = 0, cross_variance_naked = 0;
  float direction_entropy = 0, top_k_entropy = 0;
};

/// Sums over the positions of a prompt, from which the averages start.
class AdsPrompt {
 public:
  void add(std::span<const float> logits, const AdsConfig& config);
  bool empty() const { return count_ == 0; }
  AdsAverages averages(const AdsConfig& config, const Fixes& fixes) const;

 private:
  int64_t count_ = 0;
  std::vector<double> logp_;
  double entropy_ = 0, varentropy_ = 0, top_k_entropy_ = 0, top_logp_ = 0, top_logp_squared_ = 0;
};
/// Where ads_e982dd5 starts.
AdsAverages ads_empty_averages(size_t vocab);

/// What one step of the adaptive Dirichlet sampler did.
struct AdsStep {
  enum class Policy : uint8_t { kArgmax, kTopK, kDirichlet, kOutOfDistribution };

  TokenId token = -1;
  Policy policy = Policy::kArgmax;
  double entropy = 0, varentropy = 0;  ///< of the row, nats
  double outlier = 0;                  ///< > 0: an outlier
  double temperature = 1;
  AdsAverages next;
  /// The distribution drawn from, in the order of token ids; one token where none was drawn.
  std::vector<Candidate> distribution;
};

/// One step (adaptive_dirichlet_step), from `averages`, which stay as they are. Banned tokens
/// (-inf) are never chosen. Gamma and categorical draws come from `draws`.
AdsStep ads_step(std::span<const float> logits, const AdsAverages& averages,
                 const AdsConfig& config, const Fixes& fixes, const Draws& draws);

}  // namespace surprisal
