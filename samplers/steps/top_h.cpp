#include "samplers/steps/top_h.h"

#include <cmath>

namespace surprisal {
namespace {

class TopH : public ChainStep {
 public:
  TopH(double alpha, size_t top_n, bool normalized)
      : alpha_(alpha), top_n_(top_n), normalized_(normalized) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const auto top = candidates.top(top_n_);
    double z = 0;
    for (const auto& [token, logit] : top) z += std::exp(logit - top[0].logit);
    const double log_z = top[0].logit + std::log(z);
    double entropy = 0;
    for (const auto& [token, logit] : top) entropy += term(logit - log_z);
    double sum = 0, mass = 0;
    size_t kept = 0;
    for (const auto& [token, logit] : top) {
      sum += term(logit - log_z);
      mass += std::exp(logit - log_z);
      const double of_prefix = normalized_ ? sum / mass + std::log(mass) : sum;
      if (kept > 0 && of_prefix > alpha_ * entropy) break;
      ++kept;
    }
    candidates.keep_top(kept);
  }

 private:
  static double term(double log_p) { return -std::exp(log_p) * log_p; }

  double alpha_;
  size_t top_n_;
  bool normalized_;
};

}  // namespace

StepEntry top_h_step() {
  return {StepStage::kTruncate, "sorted prefix with sum -p ln p <= alpha H (arXiv 2509.02510)",
          "alpha", [](ParamReader& params, const StepBuild&) {
            const double alpha =
                params.number("alpha", 0.4, {.min = 0, .max = 1, .min_exclusive = true}, "",
                              "share of the entropy to keep");
            const int64_t top_n = params.integer("top_n", 100, {.min = 1, .max = 1e9}, "tokens",
                                                 "only that many are looked at");
            const bool normalized = params.boolean("normalized", false,
                                                   "the paper's rule: H of the kept tokens' own "
                                                   "distribution, instead of the code's");
            return std::make_unique<TopH>(alpha, static_cast<size_t>(top_n), normalized);
          }};
}

}  // namespace surprisal
