#include "samplers/steps/xtc.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace surprisal {
namespace {

class Xtc : public ChainStep {
 public:
  Xtc(double probability, double threshold, size_t min_keep, bool llama,
      std::optional<bool> triggered)
      : probability_(probability),
        threshold_(threshold),
        min_keep_(min_keep),
        llama_(llama),
        triggered_(triggered) {}

  void spare(TokenId token) { spared_.push_back(token); }

  void apply(Candidates& candidates, const StepContext& context, SamplerState*) const override {
    if (probability_ <= 0 || threshold_ > 0.5 || candidates.size() < 2) return;
    const double u = context.draws.uniform(kXtcDraw);
    if (!triggered_.value_or(llama_ ? u <= probability_ : u < probability_)) return;
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    const auto is_top = [&](double logit) { return std::exp(logit - log_sum_exp) >= threshold_; };
    size_t tops = 0;
    candidates.for_each([&](TokenId, double logit) { tops += is_top(logit); });
    if (tops < 2 || candidates.size() - (tops - 1) < min_keep_) return;
    const auto ranked = candidates.top(tops);
    std::vector<TokenId> removed;
    for (const auto& [token, logit] : ranked.first(tops - 1)) removed.push_back(token);
    for (const TokenId token : spared_)
      if (std::find(removed.begin(), removed.end(), token) != removed.end()) return;
    std::sort(removed.begin(), removed.end());
    candidates.keep_if([&](TokenId token, double) {
      return !std::binary_search(removed.begin(), removed.end(), token);
    });
  }

 private:
  double probability_, threshold_;
  size_t min_keep_;
  bool llama_;
  std::optional<bool> triggered_;
  std::vector<TokenId> spared_;
};

}  // namespace

StepEntry xtc_step() {
  return {StepStage::kTruncate,
          "with `probability`, drop all with p >= threshold but the least likely of them "
          "(text-generation-webui PR 6335)",
          "probability",
          [](ParamReader& params, const StepBuild& build) {
            const bool llama = build.dialect == Dialect::kLlama;
            const double probability = params.number("probability", 0, {.min = 0, .max = 1}, "",
                                                     "how often it acts; 0 is off");
            const double threshold =
                params.number("threshold", 0.1, {.min = 0, .max = 1}, "probability",
                              "what counts as a top choice; above 0.5 is off");
            std::optional<bool> triggered;
            if (params.has("triggered") || params.is_describing())
              triggered = params.boolean("triggered", false,
                                         "for tests: whether it acts, instead of the draw");
            auto xtc = std::make_unique<Xtc>(probability, threshold, read_min_keep(params), llama,
                                             triggered);
            if (const Tokenizer* tokenizer = build.sampler.tokenizer; tokenizer && !llama) {
              const auto line_break = tokenizer->encode("\n", false, false);
              if (!line_break.empty()) xtc->spare(line_break.back());
              if (tokenizer->eos_token_id()) xtc->spare(*tokenizer->eos_token_id());
            }
            return xtc;
          },
          "llama acts where u <= probability; hf and vllm where u < it, and not when the "
          "line break or end of text would go"};
}

}  // namespace surprisal
