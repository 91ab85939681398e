#include "samplers/entropix/v2_jax.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "samplers/entropix/config.h"
#include "samplers/entropix/metrics.h"
#include "samplers/entropix/race.h"
#include "samplers/greedy.h"

namespace surprisal {
namespace {

constexpr JaxKey kFixedKey = jax_key(1337);

class EntropixV2Jax : public Sampler {
 public:
  EntropixV2Jax(ParamReader& params, const SamplerContext& context)
      : c_(params, context), label_(entropix_label(context)) {}

  Needs needs() const override { return {.padded_slots = c_.cache_slots}; }

  Decision decide(const StepView& view, SamplerState*, const Draws&) const override {
    if (view.generated().empty()) return argmax_decision(view);  // its main() bypasses the sampler
    const EntropixMetrics m = entropix_metrics(view);
    Decision decision = decide_by_state(view, m);
    record_metrics(m, decision);
    decision.threshold_margin = c_.nearest_margin(m);
    return decision;
  }

  std::optional<std::string> refuses_repeats() const override {
    return "entropix v2_jax draws every token with the same random key, PRNGKey(1337): all repeats "
           "would be the same answer";
  }
  std::string label() const override { return label_; }

 private:
  /// The published order of its tests: the first that holds decides.
  Decision decide_by_state(const StepView& view, const EntropixMetrics& m) const {
    const float entropy = m.logits_entropy, varentropy = m.logits_varentropy;
    if (entropy < c_.low_ent_thresh && varentropy < c_.low_vent_thresh)
      return in_state(State::kLowLow, argmax_decision(view));
    if (entropy > c_.high_ent_thresh && varentropy < c_.low_vent_thresh)
      return in_state(State::kHighLow, high_low(view, m));
    if (entropy < c_.high_ent_thresh && varentropy > c_.high_vent_thresh)
      return in_state(State::kLowHigh, low_high(view, m));
    if (entropy > c_.med_ent_thresh && varentropy > c_.high_vent_thresh)
      return in_state(State::kHighHigh, high_high(view, m));
    return in_state(State::kBetween, adaptive(view, m));
  }

  static Decision in_state(State state, Decision decision) {
    decision.state = state;
    return decision;
  }

  /// The clarifying token, once: `gen_tokens[:, -1]` was meant as the last token and is the whole
  /// history, since tokens are joined on axis 0.
  Decision high_low(const StepView& view, const EntropixMetrics& m) const {
    const auto generated = view.generated();
    const bool asked =
        std::find(generated.begin(), generated.end(), c_.clarifying_token) != generated.end();
    if (!asked && can_emit(view, c_.clarifying_token))
      return forced_decision(view, c_.clarifying_token, ActionKind::kThink);
    const float heat = c_.helv_attn_ent_offset + c_.helv_attn_ent_coef * m.attn_entropy;
    return sample(view, {std::min(1.5F, c_.temp * heat), c_.top_p, c_.top_k});
  }

  Decision low_high(const StepView& view, const EntropixMetrics& m) const {
    const float heat = c_.lehv_interaction_strength_offset +
                       c_.lehv_interaction_strength_coef * m.interaction_strength;
    const float top_k = static_cast<float>(c_.top_k) * (1 + 0.5F * (1 - m.agreement));
    return sample(view, {std::min(1.5F, c_.temp * heat), c_.top_p,
                         std::max<int64_t>(5, static_cast<int64_t>(top_k))});
  }

  Decision high_high(const StepView& view, const EntropixMetrics& m) const {
    const float heat = c_.hehv_attn_vent_offset + c_.hehv_attn_vent_coef * m.attn_varentropy;
    const float top_p = c_.top_p - c_.hehv_attn_ent_coef * m.attn_entropy;
    return sample(view, {std::max(2.0F, c_.temp * heat), std::max(0.5F, top_p), c_.top_k});
  }

  static Decision sample(const StepView& view, const RaceSettings& settings) {
    const RaceDistribution distribution(view, settings);
    return emit(view, distribution, distribution.draw(kFixedKey), ActionKind::kChain);
  }

  static Decision emit(const StepView& view, const RaceDistribution& distribution, TokenId token,
                       ActionKind kind) {
    Decision decision;
    decision.action = Emit{token};
    decision.kind = kind;
    distribution.record(token, view, decision);
    return decision;
  }

  /// Several draws, of which the best scored is kept. Every term of the score but ln p is the same
  /// for all, so it is the most likely of them (but for float32 rounding, hence the addition).
  Decision adaptive(const StepView& view, const EntropixMetrics& m) const {
    const RaceDistribution distribution(view, c_.adaptive_settings(m));
    const float confidence = c_.adaptive_confidence(m);
    TokenId best = -1;
    float best_score = 0;
    for (const JaxKey& key : jax_split(kFixedKey, static_cast<size_t>(c_.n_adaptive_samples))) {
      const TokenId token = distribution.draw(key);
      const double log_probability =
          view.logits[static_cast<size_t>(token)] - view.statistics->log_sum_exp;
      const float score = static_cast<float>(log_probability) + confidence;
      if (best < 0 || score > best_score) {
        best_score = score;
        best = token;
      }
    }
    return emit(view, distribution, best, ActionKind::kAdaptive);
  }

  EntropixConfig c_;
  std::string label_;
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_v2_jax(ParamReader& params, const SamplerContext& context) {
  return std::make_unique<EntropixV2Jax>(params, context);
}

}  // namespace surprisal
