#include "samplers/steps/mirostat.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

namespace surprisal {
namespace {

constexpr double kBitsPerNat = std::numbers::log2e;

struct MirostatState : SamplerState {
  std::unique_ptr<SamplerState> clone() const override {
    return std::make_unique<MirostatState>(*this);
  }
  double mu = 0;            ///< bits
  double removed_nats = 0;  ///< ln p among those kept minus ln p before, of this step's truncation
};

class Mirostat : public ChainStep {
 public:
  struct Settings {
    double tau, eta, mu;
    bool count_removed;  ///< the surprisal is that before the truncation
  };

  explicit Mirostat(const Settings& settings) : settings_(settings) {}

  void apply(Candidates& candidates, const StepContext& context,
             SamplerState* state) const override {
    auto& mirostat = static_cast<MirostatState&>(*state);
    const double before = candidates.statistics().log_sum_exp;
    candidates.keep_top(kept(candidates, context.view.logits.size(), mirostat.mu));
    mirostat.removed_nats = before - candidates.statistics().log_sum_exp;
  }

  std::unique_ptr<SamplerState> start() const override {
    auto state = std::make_unique<MirostatState>();
    state->mu = settings_.mu;
    return state;
  }

  void chosen(TokenId, Decision& decision, SamplerState* state) const override {
    auto& mirostat = static_cast<MirostatState&>(*state);
    const double log_probability =
        decision.sampling_logprob - (settings_.count_removed ? mirostat.removed_nats : 0);
    const double surprisal = -log_probability * kBitsPerNat;
    mirostat.mu -= settings_.eta * (surprisal - settings_.tau);
    decision.metrics.emplace_back("mirostat_mu", mirostat.mu);
  }

 private:
  virtual size_t kept(const Candidates& candidates, size_t vocab, double mu) const = 0;

  Settings settings_;
};

class MirostatV1 : public Mirostat {
 public:
  MirostatV1(const Settings& settings, size_t m, bool llama)
      : Mirostat(settings), m_(m), llama_(llama) {}

 private:
  size_t kept(const Candidates& candidates, size_t vocab, double mu) const override {
    const auto top = candidates.top(m_);
    if (top.size() < 2) return 1;
    double tb = 0, tt = 0;
    for (size_t i = 1; i < top.size(); ++i) {
      const double t = std::log1p(1 / static_cast<double>(i));
      tb += t * (top[i - 1].logit - top[i].logit);
      tt += t * t;
    }
    const double s = tb / tt, e = s - 1, v = static_cast<double>(vocab);
    // (1 - V^-e) / e, whose limit for e = 0 is ln V
    const double sum = e == 0 ? std::log(v) : -std::expm1(-e * std::log(v)) / e;
    const double k = std::exp((mu * std::numbers::ln2 - std::log(sum)) / s);
    const double count = llama_ ? std::floor(k) : std::round(k) + 1;
    const auto size = static_cast<double>(candidates.size());
    // A flat row (s = 0) gives 1^inf: every token is as good as the next.
    return static_cast<size_t>(std::isnan(count) ? size : std::clamp(count, 1.0, size));
  }

  size_t m_;
  bool llama_;
};

class MirostatV2 : public Mirostat {
  using Mirostat::Mirostat;

  size_t kept(const Candidates& candidates, size_t, double mu) const override {
    const double least = candidates.statistics().log_sum_exp - mu / kBitsPerNat;
    size_t count = 0;
    candidates.for_each([&](TokenId, double logit) { count += logit >= least; });
    return std::max<size_t>(1, count);
  }
};

Mirostat::Settings read_settings(ParamReader& params, bool count_removed) {
  const double tau =
      params.number("tau", 5, {.min = 0, .min_exclusive = true}, "bits", "the surprisal aimed at");
  const double eta = params.number("eta", 0.1, {.min = 0, .max = 1}, "", "the rate of learning");
  const std::optional<double> mu =
      params.optional_number("mu", {}, "bits", "where mu starts; absent: 2 tau");
  return {tau, eta, mu.value_or(2 * tau), count_removed};
}

}  // namespace

StepEntry mirostat_v1_step() {
  return {StepStage::kSelect,
          "top k for a surprisal of tau, k from a fitted Zipf law (arXiv 2007.14966)", "tau",
          [](ParamReader& params, const StepBuild& build) {
            const bool llama = build.dialect == Dialect::kLlama;
            const Mirostat::Settings settings = read_settings(params, !llama);
            const int64_t m = params.integer("m", 100, {.min = 2, .max = 1e9}, "tokens",
                                             "how many the Zipf law is fitted to");
            return std::make_unique<MirostatV1>(settings, static_cast<size_t>(m), llama);
          },
          "llama rounds k down and takes the surprisal among the kept; hf and vllm (the authors' "
          "code) keep round(k) + 1 and take it before"};
}

StepEntry mirostat_v2_step() {
  return {StepStage::kSelect, "-log2 p <= mu, mu steered to a surprisal of tau (arXiv 2007.14966)",
          "tau", [](ParamReader& params, const StepBuild&) {
            return std::make_unique<MirostatV2>(read_settings(params, false));
          }};
}

}  // namespace surprisal
