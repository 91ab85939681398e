#include "experiments/compute_frontier.h"

#include <algorithm>

#include "experiments/repeated_answers.h"
#include "experiments/statistics/frontier.h"
#include "lib/error.h"

namespace surprisal {
namespace {

std::string sampler_type(const RecordedCell& cell) {
  return cell.identity.value("sampler", Json::object()).value("type", "");
}

/// The entries of one cell, and per question [accuracy, cost] of each.
void add_entries(const RecordedCell& cell, bool is_baseline, Scorer scorer,
                 std::vector<FrontierEntry>& entries, std::vector<std::vector<double>>& columns) {
  const auto add = [&](int64_t k) {
    FrontierEntry entry;
    entry.cell = cell.id;
    entry.label = cell.name();
    entry.k = k;
    entry.is_baseline = is_baseline;
    if (k > 1) entry.label += " maj@" + std::to_string(k);
    std::vector<double> accuracies, costs;
    for (const RecordedCell::Question& question : cell.questions) {
      accuracies.push_back(question_majority_at_k(question, scorer, k));
      costs.push_back(question_cost_of_k(question, k));
    }
    entries.push_back(std::move(entry));
    columns.push_back(std::move(accuracies));
    columns.push_back(std::move(costs));
  };
  add(1);
  if (is_baseline && sampler_type(cell) != "greedy")
    for (const int64_t k : shown_subset_sizes(cell.repeats())) add(k);
}

/// Entry e of a row of means.
CostAccuracy point_of(std::span<const double> means, size_t e) {
  return {.cost = means[2 * e + 1], .accuracy = means[2 * e]};
}

Frontier frontier_of(const std::vector<FrontierEntry>& entries, std::span<const double> means) {
  std::vector<CostAccuracy> points;
  for (size_t e = 0; e < entries.size(); ++e)
    if (entries[e].is_baseline) points.push_back(point_of(means, e));
  return Frontier(points);
}

}  // namespace

bool is_plain_decoding(const RecordedCell& cell) {
  const std::string type = sampler_type(cell);
  const bool has_strategy = cell.identity.value("sampler", Json::object()).contains("strategy");
  return (type == "greedy" || type == "chain") && !has_strategy;
}

ComputeFrontier compute_frontier(std::span<const RecordedCell* const> cells,
                                 const std::vector<bool>& baselines, const std::string& tag,
                                 const ComparisonOptions& options) {
  if (cells.size() != baselines.size() ||
      std::find(baselines.begin(), baselines.end(), true) == baselines.end())
    throw Error(ErrorCode::kInternal, "compute_frontier: no baseline");
  ComputeFrontier result;
  std::vector<std::vector<double>> columns;
  for (const bool as_baseline : {true, false})
    for (size_t c = 0; c < cells.size(); ++c) {
      require_comparable(*cells[0], *cells[c]);
      if (baselines[c] == as_baseline)
        add_entries(*cells[c], as_baseline, options.scorer, result.entries, columns);
    }
  auto clusters = cluster_numbers(*cells[0], tag);
  if (!clusters)
    throw Error(ErrorCode::kUsage,
                "problems of task '" + cells[0]->task + "' have no tag '" + tag + "'");

  QuestionTable table{.series = columns.size(), .values = {}, .clusters = std::move(*clusters)};
  for (size_t q = 0; q < table.questions(); ++q)
    for (const std::vector<double>& column : columns) table.values.push_back(column[q]);
  result.clusters = table.cluster_count();

  const std::vector<double> means = question_means(table);
  const Frontier frontier = frontier_of(result.entries, means);
  const std::vector<CostAccuracy>& corners = frontier.corners();
  for (size_t e = 0; e < result.entries.size(); ++e) {
    FrontierEntry& entry = result.entries[e];
    const CostAccuracy point = point_of(means, e);
    entry.cost = point.cost;
    entry.accuracy = point.accuracy;
    if (entry.is_baseline)
      entry.is_on_frontier =
          std::any_of(corners.begin(), corners.end(), [&](const CostAccuracy& corner) {
            return corner.cost == point.cost && corner.accuracy == point.accuracy;
          });
    else
      entry.distance = frontier.distance_above(point);
    entry.is_below_cheapest = corners.size() > 1 && point.cost < corners[1].cost;
    entry.is_beyond_dearest = corners.size() > 1 && point.cost > corners.back().cost;
  }

  if (result.clusters >= kMinClusters) {
    const std::vector<double> resampled = resampled_means(table, options.bootstrap);
    std::vector<std::vector<double>> distances(result.entries.size());
    for (size_t b = 0; b * table.series < resampled.size(); ++b) {
      const auto row = std::span(resampled).subspan(b * table.series, table.series);
      const Frontier drawn = frontier_of(result.entries, row);
      for (size_t e = 0; e < result.entries.size(); ++e)
        if (!result.entries[e].is_baseline)
          distances[e].push_back(drawn.distance_above(point_of(row, e)));
    }
    for (size_t e = 0; e < result.entries.size(); ++e)
      if (!result.entries[e].is_baseline)
        result.entries[e].distance_interval = expanded_percentile_interval(
            std::move(distances[e]), result.clusters, options.confidence);
  }
  std::stable_sort(result.entries.begin(), result.entries.end(),
                   [](const FrontierEntry& a, const FrontierEntry& b) {
                     return a.is_baseline != b.is_baseline ? a.is_baseline : a.cost < b.cost;
                   });
  return result;
}

}  // namespace surprisal
