#include "samplers/steps/ees.h"

#include <cmath>

namespace surprisal {
namespace {

constexpr size_t kFirstLook = 64;  // each further look takes 8 times it

class Ees : public ChainStep {
 public:
  explicit Ees(size_t min_keep) : min_keep_(min_keep) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    const double log_sum_exp = candidates.statistics().log_sum_exp;
    for (size_t look = kFirstLook;; look *= 8) {
      const auto top = candidates.top(look);
      double mass = 0, sum = 0;  // sum of -p ln p
      for (size_t k = 1; k <= top.size(); ++k) {
        const double log_p = top[k - 1].logit - log_sum_exp;
        mass += std::exp(log_p);
        sum -= std::exp(log_p) * log_p;
        const double entropy = sum / mass + std::log(mass);
        if (k > min_keep_ && entropy / std::log(static_cast<double>(k)) < mass)
          return candidates.keep_top(k - 1);
      }
      if (top.size() == candidates.size()) return;
    }
  }

 private:
  size_t min_keep_;
};

}  // namespace

StepEntry ees_step() {
  return {StepStage::kTruncate,
          "sorted prefix of k - 1, k the first with H_k / ln k < P_k (arXiv 2512.00789)", "",
          [](ParamReader& params, const StepBuild&) {
            return std::make_unique<Ees>(read_min_keep(params));
          }};
}

}  // namespace surprisal
