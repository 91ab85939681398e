#pragma once

#include <optional>
#include <string>

#include "samplers/entropix/defects.h"
#include "samplers/entropix/metrics.h"
#include "samplers/entropix/race.h"
#include "samplers/sampler.h"

namespace surprisal {

/// What the static and adaptive versions of Entropix share: which defects they are without, the
/// clarifying token, the first token, the race noise, and the draw that is the best of several.
class EntropixRaceSampler : public Sampler {
 public:
  Needs needs() const override;
  std::unique_ptr<SamplerState> start() const override;
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override;
  std::optional<std::string> refuses_repeats() const override;
  std::string label() const override { return label_; }

 protected:
  /// What a decision is made of.
  struct Moment {
    const StepView& view;
    const RaceNoise& noise;
    const EntropixMetrics& metrics;
  };

  /// Reads `fixes`, `clarifying_token`, `clarifying_text`, `precision` and, for variants that look
  /// at attention, `cache_slots`. @throws Error(kConfig)
  EntropixRaceSampler(ParamReader& params, const SamplerContext& context, EntropixVariant variant);

  /// The published order of its tests: the first that holds decides.
  virtual Decision decide_by_state(const Moment& moment) const = 0;
  /// Signed distance to the nearest threshold.
  virtual double nearest_margin(const EntropixMetrics& metrics) const = 0;

  bool fixed(Defect defect) const { return rules_.fixes.has(defect); }
  /// Whether the clarifying token stands where this variant looks for it.
  bool has_asked(const StepView& view) const;
  /// Emits the clarifying token, if it may be emitted.
  std::optional<Decision> clarify(const StepView& view) const;
  Decision sample(const Moment& moment, const RaceSettings& settings) const;
  /// Several draws, of which the best scored is kept. Every term of the score but ln p is the same
  /// for all, so it is the most likely of them (but for float32 rounding, hence `confidence`).
  Decision best_of(const Moment& moment, const RaceSettings& settings, int64_t count,
                   float confidence) const;
  static Decision in_state(State state, Decision decision);

  RaceRules rules_;

 private:
  EntropixVariant variant_;
  bool reads_attention_;
  MetricSettings metrics_;
  TokenId clarifying_token_ = -1;
  std::string label_;
};

/// "untuned port" on a tokenizer other than Llama 3's, whose token 2564 is " ...".
std::string entropix_label(const SamplerContext& context);

/// `clarifying_token` (2564), or with the defect fixed the model's own first token of
/// `clarifying_text`. @throws Error(kConfig)
TokenId read_clarifying_token(ParamReader& params, const SamplerContext& context,
                              const Fixes& fixes);

}  // namespace surprisal
