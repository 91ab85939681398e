#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "experiments/sample.h"
#include "experiments/statistics/proportion.h"
#include "experiments/twin_effects.h"

namespace surprisal {

/// What a cell's answers came to: a row of results.csv and results.json.
struct CellResult {
  std::string cell;
  std::string model, model_provenance;  ///< "dequantised from Q4_1", "" for weights as published
  std::string dtype;
  std::string task, split;
  std::string sampler, sampler_label;  ///< a caveat every table carries, or ""
  Setting swept;
  std::string choice;     ///< how the setting was chosen (tuning.h), or ""
  int64_t n = 0;          ///< answers
  int64_t questions = 0;  ///< answered at least once
  Proportion strict, flexible, numeric;
  double invalid_share = 0;    ///< no answer could be extracted
  double truncated_share = 0;  ///< ended by max_new_tokens or the context
  /// Means over answers.
  double generated_tokens = 0, injected_tokens = 0, token_evaluations = 0, flops = 0,
         forward_passes = 0, interventions = 0;
  /// Of a yoked control: what it was to do; the rest of it found no place. NaN for all others.
  double planned_interventions = std::numeric_limits<double>::quiet_NaN();
  std::array<double, std::size(kStateNames)> state_shares{};  ///< of token rows, by State
  std::vector<TwinEffect> twins;     ///< of randomised twins; empty without `counterfactual:`
  std::vector<SignalAuroc> signals;  ///< that tell wrong answers from right ones, or do not
};

/// Adds samples up, cell by cell.
class ResultsBuilder {
 public:
  explicit ResultsBuilder(const Plan& plan);
  /// @param cell  index into the plan's cells
  void add(size_t cell, const Sample& sample);
  std::vector<CellResult> finish() const;

 private:
  struct Sums {
    std::map<int64_t, std::array<Tally, 3>> questions;  // by doc_id: strict, flexible, numeric
    int64_t n = 0, invalid = 0, truncated = 0;
    int64_t generated_tokens = 0, injected_tokens = 0, token_evaluations = 0, forward_passes = 0,
            interventions = 0, token_rows = 0;
    double flops = 0;
    std::array<int64_t, std::size(kStateNames)> states{};
    TwinEffects twins;
    AnswerSignals signals;
  };
  const Plan& plan_;
  std::vector<Sums> sums_;
};

}  // namespace surprisal
