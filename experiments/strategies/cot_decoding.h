#pragma once

#include "experiments/strategies/panel.h"

namespace surprisal {

/// CoT-decoding: one answer for each of the k most likely first tokens, each gone on with by the
/// sampler (the paper: greedily). An answer's confidence is the mean over the tokens that spell its
/// result of p1 - p2, the two largest probabilities before the token; 0 when no result is found.
/// The most confident answer wins; with `aggregate` the result with the largest sum of confidences.
/// Where the result stands is decided by its last occurrence in the text, commas not counted.
/// Ref: Wang & Zhou, arXiv:2402.10200, sections 2.2 and 2.3.
class CotDecoding : public PanelStrategy {
 public:
  CotDecoding(int64_t k, bool aggregate, Scorer scorer)
      : k_(k), aggregate_(aggregate), scorer_(scorer) {}
  int64_t answers() const override { return k_; }
  Scorer scorer() const override { return scorer_; }
  static StrategyEntry entry();

 private:
  std::unique_ptr<Panel> convene(const GenerationRequest& request,
                                 const Tokenizer& tokenizer) const override;
  int64_t k_;
  bool aggregate_;
  Scorer scorer_;
};

/// Mean p1 - p2 over the tokens that spell the last occurrence of `result`; 0 when there is none.
double answer_margin(const GenerationResult& answer, const std::string& result,
                     const Tokenizer& tokenizer);

}  // namespace surprisal
