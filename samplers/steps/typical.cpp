#include "samplers/steps/typical.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace surprisal {
namespace {

struct Deviation {
  double distance;  ///< |-ln p - H|
  Candidates::Ranked candidate;
};

class Typical : public ChainStep {
 public:
  Typical(double p, size_t min_keep, bool llama) : p_(p), min_keep_(min_keep), llama_(llama) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (p_ >= 1) return;
    const DistributionStatistics& row = candidates.statistics();
    const double log_sum_exp = row.log_sum_exp, entropy = row.entropy;
    std::vector<Deviation> order;
    order.reserve(candidates.size());
    candidates.for_each([&](TokenId token, double logit) {
      order.push_back({std::abs(log_sum_exp - logit - entropy), {token, logit}});
    });
    std::sort(order.begin(), order.end(), [](const Deviation& a, const Deviation& b) {
      return a.distance != b.distance ? a.distance < b.distance
                                      : a.candidate.token < b.candidate.token;
    });
    double mass = 0;
    size_t kept = 0;
    while (kept < order.size()) {
      mass += std::exp(order[kept++].candidate.logit - log_sum_exp);
      if (llama_ ? mass > p_ && kept >= min_keep_ : mass >= p_) break;
    }
    if (!llama_) {
      const double last = order[kept - 1].distance;
      while (kept < order.size() && (order[kept].distance == last || kept < min_keep_)) ++kept;
    }
    std::vector<Candidates::Ranked> ranked;
    for (size_t i = 0; i < kept; ++i) ranked.push_back(order[i].candidate);
    candidates.keep_ranked(ranked);
  }

 private:
  double p_;
  size_t min_keep_;
  bool llama_;
};

}  // namespace

StepEntry typical_step() {
  return {
      StepStage::kTruncate, "by ascending |-ln p - H|, until a mass of p (arXiv 2202.00666)", "p",
      [](ParamReader& params, const StepBuild& build) {
        const double p = params.number("p", 1, {.min = 0, .max = 1}, "", "mass to keep; 1 is off");
        return std::make_unique<Typical>(p, read_min_keep(params),
                                         build.dialect == Dialect::kLlama);
      },
      "llama stops once the mass exceeds p, hf and vllm once it reaches p, with all "
      "equally far from H"};
}

}  // namespace surprisal
