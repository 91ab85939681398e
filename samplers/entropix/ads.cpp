#include "samplers/entropix/ads.h"

#include <cmath>
#include <limits>

#include "samplers/entropix/ads_step.h"
#include "samplers/entropix/variant.h"
#include "samplers/greedy.h"
#include "samplers/margin.h"

namespace surprisal {
namespace {

// ads_head's states: nats and nats^2. Its attention conditions are commented out.
constexpr double kLowEntropy = 0.3, kMediumEntropy = 1.2, kHighEntropy = 2.5;
constexpr double kLowVarentropy = 1.2, kHighVarentropy = 2.5;

struct AdsState : SamplerState {
  std::unique_ptr<SamplerState> clone() const override { return std::make_unique<AdsState>(*this); }
  AdsPrompt prompt;
  std::optional<AdsAverages> averages;  ///< from the first decision on
};

class EntropixAds : public Sampler {
 public:
  EntropixAds(ParamReader& params, const SamplerContext& context, EntropixVariant variant)
      : variant_(variant),
        config_(ads_config(variant)),
        fixes_(params, variant),
        label_(entropix_label(context)) {
    if (is_head()) clarifying_token_ = read_clarifying_token(params, context, fixes_);
  }

  Needs needs() const override {
    Needs needs;
    needs.position_gap = !fixes_.has(Defect::kPositionGap);
    return needs;
  }
  std::unique_ptr<SamplerState> start() const override { return std::make_unique<AdsState>(); }

  void observe_prompt(std::span<const float> logits, SamplerState* state) const override {
    if (!config_.starts_empty) static_cast<AdsState&>(*state).prompt.add(logits, config_);
  }

  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    auto& own = static_cast<AdsState&>(*state);
    if (!own.averages) begin(view, own);
    if (view.generated().empty() && !fixes_.has(Defect::kFirstTokenArgmax))
      return argmax_decision(view);  // the server takes the first token from the prompt's logits
    const Draws fixed(kFixedSeed, 0);
    const Draws& source = fixes_.has(Defect::kFixedKey) ? draws : fixed;
    AdsStep step = ads_step(view.logits, *own.averages, config_, fixes_, source);
    const double entropy = step.entropy, varentropy = step.varentropy;
    Decision decision = is_head() ? head_decision(view, own, std::move(step), source)
                                  : plain_decision(view, own, std::move(step));
    decision.decision_entropy = entropy;
    decision.decision_varentropy = varentropy;
    return decision;
  }

  std::optional<std::string> refuses_repeats() const override {
    if (fixes_.has(Defect::kFixedKey)) return std::nullopt;
    return "entropix " + std::string(kEntropixVariantNames[static_cast<size_t>(variant_)]) +
           " draws every token with the same random key: all repeats would be the same answer; "
           "fixes: [fixed_key] gives it draws of its own";
  }
  std::string label() const override { return label_; }

 private:
  static constexpr uint64_t kFixedSeed = 1337;

  bool is_head() const { return variant_ == EntropixVariant::kAdsHead; }

  void begin(const StepView& view, AdsState& own) const {
    if (config_.starts_empty) {
      own.averages = ads_empty_averages(view.logits.size());
      return;
    }
    if (own.prompt.empty()) own.prompt.add(view.logits, config_);
    own.averages = own.prompt.averages(config_, fixes_);
    own.prompt = {};
  }

  static Decision decision_of(const StepView& view, const AdsStep& step) {
    Decision decision;
    decision.action = Emit{step.token};
    decision.kind =
        step.policy == AdsStep::Policy::kArgmax ? ActionKind::kArgmax : ActionKind::kAdaptive;
    decision.temperature = step.temperature;
    decision.kept = static_cast<int64_t>(step.distribution.size());
    decision.threshold_margin = step.outlier;
    for (const Candidate& candidate : step.distribution)
      if (candidate.token == step.token)
        decision.sampling_logprob = std::log(static_cast<double>(candidate.probability));
    if (view.want_distribution) decision.distribution = step.distribution;
    decision.metrics = {{"policy", static_cast<double>(step.policy)},
                        {"outlier", step.outlier},
                        {"emwa_temp", step.next.temperature},
                        {"emwa_dir_ent", step.next.direction_entropy},
                        {"emwa_ent_scaffold", step.next.entropy_scaffold},
                        {"emwa_ent_naked", step.next.entropy_naked},
                        {"emwa_varent_scaffold", step.next.varentropy_scaffold},
                        {"emwa_varent_naked", step.next.varentropy_naked},
                        {"emwa_topk_ent_naked", step.next.top_k_entropy},
                        {"token_cross_ent_scaffold", step.next.cross_entropy_scaffold},
                        {"token_cross_ent_naked", step.next.cross_entropy_naked},
                        {"token_cross_var_scaffold", step.next.cross_variance_scaffold},
                        {"token_cross_var_naked", step.next.cross_variance_naked}};
    return decision;
  }

  static Decision plain_decision(const StepView& view, AdsState& own, AdsStep step) {
    Decision decision = decision_of(view, step);
    own.averages = std::move(step.next);
    return decision;
  }

  Decision head_decision(const StepView& view, AdsState& own, AdsStep step,
                         const Draws& draws) const {
    const double h = step.entropy, v = step.varentropy;
    State state = State::kBetween;  // no condition holds: treated as low/low
    if (h < kLowEntropy && v < kLowVarentropy)
      state = State::kLowLow;
    else if (h > kHighEntropy && v < kLowVarentropy)
      state = State::kHighLow;
    else if (h < kHighEntropy && v > kHighVarentropy)
      state = State::kLowHigh;
    else if (h > kMediumEntropy && v > kHighVarentropy)
      state = State::kHighHigh;
    Decision decision = decision_of(view, step);
    const auto generated = view.generated();
    const bool just_asked = !generated.empty() && generated.back() == clarifying_token_;
    std::optional<AdsAverages> next;
    if (state == State::kHighHigh && view.statistics->support > 1) {
      std::vector<float> others(view.logits.begin(), view.logits.end());
      others[static_cast<size_t>(step.token)] = -std::numeric_limits<float>::infinity();
      AdsStep again = ads_step(others, *own.averages, config_, fixes_, draws);
      decision = decision_of(view, again);
      next = std::move(again.next);
    } else if (state == State::kHighLow && can_emit(view, clarifying_token_) &&
               !(just_asked && fixes_.has(Defect::kUnconditional2564))) {
      const auto metrics = decision.metrics;
      decision = forced_decision(view, clarifying_token_, ActionKind::kThink);
      decision.metrics = metrics;
    }
    if (!next && fixes_.has(Defect::kAdsStaleState)) next = std::move(step.next);
    if (next) own.averages = std::move(*next);
    decision.state = state;
    decision.threshold_margin =
        nearest_to_zero({h - kLowEntropy, h - kMediumEntropy, h - kHighEntropy, v - kLowVarentropy,
                         v - kHighVarentropy});
    return decision;
  }

  EntropixVariant variant_;
  const AdsConfig& config_;
  Fixes fixes_;
  TokenId clarifying_token_ = -1;
  std::string label_;
};

}  // namespace

std::unique_ptr<Sampler> make_entropix_ads(ParamReader& params, const SamplerContext& context,
                                           EntropixVariant variant) {
  return std::make_unique<EntropixAds>(params, context, variant);
}

}  // namespace surprisal
