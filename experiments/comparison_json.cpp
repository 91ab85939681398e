#include "experiments/comparison_report.h"
#include "experiments/results_format.h"
#include "experiments/statistics/detectable_effect.h"

namespace surprisal {
namespace {

constexpr const char* kVerdictNames[] = {"too_few_to_tell", "no_difference_shown", "better",
                                         "worse"};

Json interval_json(const std::optional<Interval>& interval) {
  return interval ? Json{{"low", interval->low}, {"high", interval->high}} : Json(nullptr);
}

Json cell_json(const CellSummary& summary) {
  const RecordedCell& cell = *summary.cell;
  Json result = {{"cell", cell.id},
                 {"sampler", cell.sampler},
                 {"sampler_label", cell.sampler_label},
                 {"swept", Json::object()},
                 {"strict", proportion_json(summary.strict)},
                 {"flexible", proportion_json(summary.flexible)},
                 {"numeric", proportion_json(summary.numeric)},
                 {"invalid_share", summary.invalid_share},
                 {"truncated_share", summary.truncated_share},
                 {"mean_generated_tokens", summary.generated_tokens},
                 {"mean_token_evaluations", summary.token_evaluations},
                 {"at_k", Json::array()}};
  for (const auto& [key, value] : cell.swept) result["swept"][key] = value;
  for (const CellSummary::Repeated& figure : summary.repeated)
    result["at_k"].push_back({{"k", figure.k}, {"pass", figure.pass}, {"maj", figure.majority}});
  return result;
}

/// Without a p where nothing could have been found: it would be read as a finding.
Json test_json(const DeclaredTest& test) {
  const bool told = test.verdict != Verdict::kTooFew;
  return {{"method", test.method},
          {"differing", test.informative},
          {"p", told ? Json(test.p) : Json(nullptr)},
          {"holm_p", told ? Json(test.holm_p) : Json(nullptr)},
          {"verdict", kVerdictNames[static_cast<size_t>(test.verdict)]}};
}

Json comparison_entry(const Comparison& comparison) {
  Json result = {{"baseline", comparison.baseline},
                 {"cell", comparison.cell},
                 {"questions", comparison.questions},
                 {"baseline_accuracy", comparison.baseline_accuracy},
                 {"accuracy", comparison.accuracy},
                 {"difference", comparison.difference},
                 {"wins", comparison.wins},
                 {"losses", comparison.losses},
                 {"discordant", comparison.wins + comparison.losses},
                 {"tango", interval_json(comparison.tango)},
                 {"bootstrap", Json::array()},
                 {"test", comparison.test ? test_json(*comparison.test) : Json(nullptr)}};
  for (const ClusteredInterval& entry : comparison.bootstrap)
    result["bootstrap"].push_back({{"cluster", entry.cluster},
                                   {"clusters", entry.clusters},
                                   {"interval", interval_json(entry.interval)}});
  return result;
}

Json frontier_json(const ComputeFrontier& frontier) {
  Json entries = Json::array();
  for (const FrontierEntry& entry : frontier.entries)
    entries.push_back({{"cell", entry.cell},
                       {"label", entry.label},
                       {"k", entry.k},
                       {"baseline", entry.is_baseline},
                       {"on_frontier", entry.is_on_frontier},
                       {"mean_token_evaluations", entry.cost},
                       {"accuracy", entry.accuracy},
                       {"distance", entry.distance ? Json(*entry.distance) : Json(nullptr)},
                       {"distance_interval", interval_json(entry.distance_interval)},
                       {"below_cheapest", entry.is_below_cheapest},
                       {"beyond_dearest", entry.is_beyond_dearest}});
  return {{"clusters", frontier.clusters}, {"entries", std::move(entries)}};
}

Json group_json(const ComparisonGroup& group, const ComparisonReport& report) {
  const RecordedCell& any = *group.cells.at(0).cell;
  Json result = {{"model", any.model},
                 {"model_provenance", any.model_provenance},
                 {"task", any.task},
                 {"questions", any.questions.size()},
                 {"repeats", any.repeats()},
                 {"cells", Json::array()},
                 {"comparisons", Json::array()},
                 {"frontier", group.frontier ? frontier_json(*group.frontier) : Json(nullptr)},
                 {"smallest_detectable", Json::array()}};
  for (const CellSummary& summary : group.cells) result["cells"].push_back(cell_json(summary));
  for (const Comparison& comparison : group.comparisons)
    result["comparisons"].push_back(comparison_entry(comparison));
  for (const DetectableEffect& effect :
       detectable_effects(std::ssize(any.questions), single_test_alpha(report)))
    result["smallest_detectable"].push_back(
        {{"discordance", effect.discordance},
         {"difference", effect.difference ? Json(*effect.difference) : Json(nullptr)}});
  return result;
}

}  // namespace

Json comparison_json(const ComparisonReport& report) {
  const auto& options = report.options;
  Json result = {{"format", "surprisal-comparison"},
                 {"runs", report.runs},
                 {"scorer", kScorerNames[static_cast<size_t>(options.scorer)]},
                 {"confidence", options.confidence},
                 {"bootstrap",
                  {{"type", "paired cluster bootstrap, expanded percentile interval"},
                   {"resamples", options.bootstrap.resamples},
                   {"seed", options.bootstrap.seed}}},
                 {"declared", nullptr},
                 {"groups", Json::array()},
                 {"notes", report.notes}};
  if (report.declared)
    result["declared"] = {
        {"primary", kScorerNames[static_cast<size_t>(report.declared->primary)]},
        {"baseline", report.declared->baseline},
        {"family", report.declared->family},
        {"alpha", report.declared->alpha},
        {"cluster", report.declared->cluster.empty() ? "question" : report.declared->cluster},
        {"tests", report.family_size}};
  for (const ComparisonGroup& group : report.groups)
    result["groups"].push_back(group_json(group, report));
  return result;
}

}  // namespace surprisal
