#include "experiments/twin_effects.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "experiments/results_format.h"
#include "experiments/statistics/auroc.h"
#include "experiments/statistics/clustered_mean.h"

namespace surprisal {
namespace {

struct Signal {
  const char* name;
  float TokenRecord::*member;
  double sign;
};
constexpr Signal kSignals[] = {{"entropy", &TokenRecord::entropy, 1},
                               {"varentropy", &TokenRecord::varentropy, 1},
                               {"surprisal", &TokenRecord::logprob, -1},
                               {"max_probability", &TokenRecord::max_probability, 1},
                               {"attention_entropy", &TokenRecord::attention_entropy, 1},
                               {"attention_agreement", &TokenRecord::attention_agreement, 1}};

/// Numbers questions from 0 in the order in which they come.
class Questions {
 public:
  size_t number(int64_t doc_id) { return numbers_.emplace(doc_id, numbers_.size()).first->second; }
  int64_t count() const { return static_cast<int64_t>(numbers_.size()); }

 private:
  std::map<int64_t, size_t> numbers_;
};

}  // namespace

void TwinEffects::add(int64_t doc_id, const TwinRecord& twins) {
  pairs_[{twins.fork.state, twins.fork.action}].push_back(
      {doc_id, twins.treated.score, twins.untreated.score});
}

std::vector<TwinEffect> TwinEffects::effects(Scorer scorer) const {
  std::vector<TwinEffect> effects;
  for (const auto& [key, pairs] : pairs_) {
    TwinEffect effect;
    effect.state = kStateNames[static_cast<size_t>(key.first)];
    effect.action = kActionNames[static_cast<size_t>(key.second)];
    effect.pairs = std::ssize(pairs);
    Questions questions;
    std::vector<double> differences;
    std::vector<size_t> clusters;
    for (const Pair& pair : pairs) {
      const bool treated = is_right(pair.treated, scorer);
      const bool untreated = is_right(pair.untreated, scorer);
      effect.treated += treated;
      effect.untreated += untreated;
      differences.push_back(static_cast<double>(treated) - static_cast<double>(untreated));
      clusters.push_back(questions.number(pair.doc_id));
    }
    effect.questions = questions.count();
    effect.treated /= static_cast<double>(effect.pairs);
    effect.untreated /= static_cast<double>(effect.pairs);
    effect.effect = clustered_mean(differences, clusters);
    effect.effect.low = std::max(effect.effect.low, -1.0);  // NaN stays
    effect.effect.high = std::min(effect.effect.high, 1.0);
    effects.push_back(std::move(effect));
  }
  return effects;
}

void AnswerSignals::add(const Sample& sample) {
  if (sample.tokens.empty()) return;
  Answer& answer = answers_.emplace_back(Answer{sample.doc_id, sample.score, {}});
  for (const Signal& signal : kSignals) {
    double sum = 0;
    for (const TokenRecord& token : sample.tokens)
      sum += signal.sign * static_cast<double>(token.*signal.member);
    answer.means.push_back(sum / static_cast<double>(sample.tokens.size()));
  }
}

std::vector<SignalAuroc> AnswerSignals::aurocs(Scorer scorer) const {
  std::vector<SignalAuroc> aurocs;
  for (size_t s = 0; s < std::size(kSignals); ++s) {
    Questions questions;
    std::vector<double> values;
    std::vector<unsigned char> wrong;
    std::vector<size_t> clusters;
    bool recorded = true;
    for (const Answer& answer : answers_) {
      recorded = recorded && std::isfinite(answer.means[s]);
      values.push_back(answer.means[s]);
      wrong.push_back(is_right(answer.score, scorer) ? 0 : 1);
      clusters.push_back(questions.number(answer.doc_id));
    }
    if (!recorded || answers_.empty()) continue;
    const Proportion auroc = clustered_auroc(values, wrong, clusters);
    if (!std::isnan(auroc.value)) aurocs.push_back({kSignals[s].name, auroc});
  }
  return aurocs;
}

Json twin_effects_json(const std::vector<TwinEffect>& effects) {
  Json entries = Json::array();
  for (const TwinEffect& effect : effects)
    entries.push_back({{"state", effect.state},
                       {"action", effect.action},
                       {"pairs", effect.pairs},
                       {"questions", effect.questions},
                       {"treated", effect.treated},
                       {"untreated", effect.untreated},
                       {"effect", proportion_json(effect.effect)}});
  return entries;
}

std::vector<TwinEffect> twin_effects_from_json(const Json& entries) {
  std::vector<TwinEffect> effects;
  for (const Json& entry : entries) {
    TwinEffect& effect = effects.emplace_back();
    entry.at("state").get_to(effect.state);
    entry.at("action").get_to(effect.action);
    entry.at("pairs").get_to(effect.pairs);
    entry.at("questions").get_to(effect.questions);
    entry.at("treated").get_to(effect.treated);
    entry.at("untreated").get_to(effect.untreated);
    effect.effect = proportion_from_json(entry.at("effect"));
  }
  return effects;
}

Json aurocs_json(const std::vector<SignalAuroc>& aurocs) {
  Json entries = Json::object();
  for (const SignalAuroc& entry : aurocs) entries[entry.signal] = proportion_json(entry.auroc);
  return entries;
}

std::vector<SignalAuroc> aurocs_from_json(const Json& entries) {
  std::vector<SignalAuroc> aurocs;
  for (const auto& [signal, value] : entries.items())
    aurocs.push_back({signal, proportion_from_json(value)});
  return aurocs;
}

}  // namespace surprisal
