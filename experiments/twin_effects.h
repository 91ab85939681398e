#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "experiments/analysis_plan.h"
#include "experiments/sample.h"
#include "experiments/statistics/proportion.h"
#include "lib/json.h"

namespace surprisal {

/// What acting on a state did to the answers: the twins of one state and action.
struct TwinEffect {
  std::string state, action;
  int64_t pairs = 0, questions = 0;
  double treated = 0, untreated = 0;  ///< shares of right answers
  Proportion effect;                  ///< treated minus untreated, clustered by question
};

/// Gathers the randomised twins of a cell.
class TwinEffects {
 public:
  void add(int64_t doc_id, const TwinRecord& twins);
  /// In the order of states and actions. @param scorer  by which answers are right
  std::vector<TwinEffect> effects(Scorer scorer) const;

 private:
  struct Pair {
    int64_t doc_id;
    Score treated, untreated;
  };
  std::map<std::pair<State, ActionKind>, std::vector<Pair>> pairs_;
};

/// How well the mean of a signal over an answer's tokens tells wrong answers from right ones.
struct SignalAuroc {
  std::string signal;
  Proportion auroc;  ///< clustered by question; above 0.5: larger where the answer is wrong
};

/// Gathers the signals of a cell's answers.
class AnswerSignals {
 public:
  void add(const Sample& sample);
  /// Of entropy, varentropy, surprisal, max_probability, attention_entropy and
  /// attention_agreement, those that were recorded for every answer; answers without a token are
  /// left out. Nothing where all answers are right, or all wrong.
  std::vector<SignalAuroc> aurocs(Scorer scorer) const;

 private:
  struct Answer {
    int64_t doc_id;
    Score score;
    std::vector<double> means;  ///< of each signal
  };
  std::vector<Answer> answers_;
};

Json twin_effects_json(const std::vector<TwinEffect>& effects);
/// @throws Json::exception
std::vector<TwinEffect> twin_effects_from_json(const Json& entries);
Json aurocs_json(const std::vector<SignalAuroc>& aurocs);
/// @throws Json::exception
std::vector<SignalAuroc> aurocs_from_json(const Json& entries);

}  // namespace surprisal
