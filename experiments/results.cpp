#include "experiments/results.h"

#include <utility>

namespace surprisal {

ResultsBuilder::ResultsBuilder(const Plan& plan) : plan_(plan), sums_(plan.cells.size()) {}

void ResultsBuilder::add(size_t cell, const Sample& sample) {
  Sums& sums = sums_.at(cell);
  auto& tallies = sums.questions[sample.doc_id];
  const bool verdicts[] = {sample.score.strict, sample.score.flexible, sample.score.numeric};
  for (size_t i = 0; i < tallies.size(); ++i) {
    tallies[i].answers += 1;
    tallies[i].correct += verdicts[i];
  }
  sums.n += 1;
  sums.invalid += !sample.score.valid;
  sums.truncated +=
      sample.stop_reason == StopReason::kLength || sample.stop_reason == StopReason::kContext;
  sums.generated_tokens += sample.generated_tokens;
  sums.injected_tokens += sample.injected_tokens;
  sums.token_evaluations += sample.cost.token_evaluations;
  sums.flops += sample.cost.flops;
  sums.forward_passes += sample.cost.forward_passes;
  sums.interventions += sample.interventions;
  for (const TwinRecord& twins : sample.twins) sums.twins.add(sample.doc_id, twins);
  sums.signals.add(sample);
  sums.token_rows += static_cast<int64_t>(sample.tokens.size());
  for (const TokenRecord& token : sample.tokens) sums.states[static_cast<size_t>(token.state)] += 1;
}

std::vector<CellResult> ResultsBuilder::finish() const {
  std::vector<CellResult> results;
  for (size_t c = 0; c < sums_.size(); ++c) {
    const Sums& sums = sums_[c];
    const Cell& cell = plan_.cells[c];
    const auto share = [](auto part, int64_t whole) {
      return static_cast<double>(part) / static_cast<double>(whole);
    };
    CellResult result;
    result.cell = cell.id;
    result.model = plan_.models[cell.model].name();
    result.model_provenance = plan_.models[cell.model].provenance.provenance;
    result.dtype = plan_.models[cell.model].dtype();
    result.task = plan_.tasks[cell.task].spec.name;
    result.split = plan_.tasks[cell.task].spec.options.split;
    result.sampler = cell.sampler_name;
    result.sampler_label = cell.sampler->label();
    result.swept = cell.swept;
    result.choice = cell.choice;
    result.n = sums.n;
    result.questions = static_cast<int64_t>(sums.questions.size());
    std::array<std::vector<Tally>, 3> tallies;
    for (const auto& [doc_id, question] : sums.questions)
      for (size_t i = 0; i < 3; ++i) tallies[i].push_back(question[i]);
    result.strict = clustered_proportion(tallies[0]);
    result.flexible = clustered_proportion(tallies[1]);
    result.numeric = clustered_proportion(tallies[2]);
    result.invalid_share = share(sums.invalid, sums.n);
    result.truncated_share = share(sums.truncated, sums.n);
    result.generated_tokens = share(sums.generated_tokens, sums.n);
    result.injected_tokens = share(sums.injected_tokens, sums.n);
    result.token_evaluations = share(sums.token_evaluations, sums.n);
    result.flops = share(sums.flops, sums.n);
    result.forward_passes = share(sums.forward_passes, sums.n);
    result.interventions = share(sums.interventions, sums.n);
    if (cell.yoked_to) result.planned_interventions = results[*cell.yoked_to].interventions;
    for (size_t i = 0; i < sums.states.size(); ++i)
      result.state_shares[i] = share(sums.states[i], sums.token_rows);
    const Scorer scorer = plan_.config.analysis ? plan_.config.analysis->primary : Scorer::kNumeric;
    result.twins = sums.twins.effects(scorer);
    result.signals = sums.signals.aurocs(scorer);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace surprisal
