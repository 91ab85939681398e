#pragma once

#include "experiments/strategies/strategy.h"

namespace surprisal {

/// Beam search over the raw distribution. A hypothesis scores (sum of ln p) / length^exponent, the
/// end of the text counted as a token. At each step every live hypothesis goes on with its most
/// likely tokens; of all these the best `beams` that do not end live on, and those that end and are
/// among the best `beams` are kept aside. It is over when `beams` are aside and none that lives
/// scores better now than the worst of them (early_stop: as soon as they are aside), or at the
/// length limit. The rules are those of transformers' generate(num_beams=...).
class BeamSearch : public Strategy {
 public:
  struct Options {
    int64_t beams = 4;
    double length_exponent = 1;
    bool early_stop = false;
  };
  explicit BeamSearch(const Options& options) : options_(options) {}

  std::unique_ptr<Job> start(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
                             const TokenCallback& on_token) const override;
  int64_t answers() const override { return options_.beams; }
  std::optional<std::string> refuses_repeats() const override {
    return "beam search draws nothing";
  }
  static StrategyEntry entry();

 private:
  Options options_;
};

}  // namespace surprisal
