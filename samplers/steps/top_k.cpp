#include "samplers/steps/top_k.h"

#include <algorithm>

namespace surprisal {
namespace {

class TopK : public ChainStep {
 public:
  TopK(size_t k, bool keep_ties) : k_(k), keep_ties_(keep_ties) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (k_ == 0 || k_ >= candidates.size()) return;
    if (keep_ties_)
      candidates.keep_from(candidates.top(k_).back().logit, k_);
    else
      candidates.keep_top(k_);
  }

 private:
  size_t k_;
  bool keep_ties_;
};

}  // namespace

StepEntry top_k_step() {
  return {StepStage::kTruncate, "the k most likely tokens", "k",
          [](ParamReader& params, const StepBuild& build) {
            const int64_t k = params.integer("k", 40, {}, "tokens", "how many; 0 or less is off");
            const size_t min_keep = read_min_keep(params);
            return std::make_unique<TopK>(k > 0 ? std::max(static_cast<size_t>(k), min_keep) : 0,
                                          build.dialect != Dialect::kLlama);
          },
          "llama keeps exactly k, hf and vllm also all that equal the k-th"};
}

}  // namespace surprisal
