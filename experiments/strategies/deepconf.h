#pragma once

#include <span>
#include <vector>

#include "experiments/strategies/panel.h"

namespace surprisal {

/// DeepConf's measures of an answer, from the confidences of its tokens: C = -mean ln p over the
/// `top` most likely tokens before each. A group is `window` tokens in a row; an answer shorter
/// than that is one group.
struct ConfidenceRule {
  enum class Measure { kMean, kTail, kBottom, kLowest };
  int64_t window = 2048;
  int64_t top = 20;
  Measure measure = Measure::kLowest;
  double bottom = 0.1;  ///< share of the groups that kBottom averages

  /// Means of all groups, in order. Nothing for no tokens.
  std::vector<double> groups(std::span<const double> confidences) const;
  /// kMean: over all tokens; kTail: over the last `window`; kBottom: over the lowest groups;
  /// kLowest: of the lowest group. 0 for no tokens.
  double of(std::span<const double> confidences) const;
};

/// DeepConf: answers vote with their confidence as weight. Offline, all are made at once, and only
/// the share `keep` of the surest votes. Online, `warmup` whole answers set a bar, the `percentile`
/// of their lowest groups; each later answer is stopped where a whole window falls below it, and
/// only answers that stay above vote, warm-up included. (The paper also stops making answers once
/// most agree; here all later ones are made side by side, so that would save nothing.)
/// Ref: Fu et al., arXiv:2508.15260; facebookresearch/deepconf@675529d1 (utils.py, processors.py).
class DeepConf : public PanelStrategy {
 public:
  struct Options {
    int64_t n = 16;
    bool online = false;
    double keep = 1;  ///< offline
    int64_t warmup = 8;
    double percentile = 10;
    ConfidenceRule rule;
    Scorer scorer = Scorer::kNumeric;
  };
  explicit DeepConf(const Options& options) : options_(options) {}
  int64_t answers() const override { return options_.n; }
  bool repeats_sampler() const override { return true; }
  Scorer scorer() const override { return options_.scorer; }
  static StrategyEntry entry();

 private:
  std::unique_ptr<Panel> convene(const GenerationRequest& request,
                                 const Tokenizer& tokenizer) const override;
  Options options_;
};

}  // namespace surprisal
