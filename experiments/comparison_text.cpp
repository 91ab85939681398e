#include <algorithm>
#include <set>

#include "experiments/comparison_report.h"
#include "experiments/text_table.h"

namespace surprisal {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string scorer_name(const ComparisonReport& report) {
  return std::string(kScorerNames[static_cast<size_t>(report.options.scorer)]);
}

std::string level_text(const ComparisonReport& report) {
  const std::string text = fixed(100 * report.options.confidence, 1);
  return (text.ends_with(".0") ? text.substr(0, text.size() - 2) : text) + " %";
}

std::string points_text(const std::optional<Interval>& interval) {
  if (!interval) return "-";
  return "[" + signed_fixed(100 * interval->low, 1) + ", " + signed_fixed(100 * interval->high, 1) +
         "]";
}

const RecordedCell& cell_of(const ComparisonGroup& group, const std::string& id) {
  return *std::find_if(group.cells.begin(), group.cells.end(), [&](const CellSummary& summary) {
            return summary.cell->id == id;
          })->cell;
}

/// "1 answer", "8 answers", "1 to 8 answers"
std::string answers_text(const ComparisonGroup& group) {
  int64_t least = group.cells.at(0).cell->repeats(), most = least;
  for (const CellSummary& summary : group.cells) {
    least = std::min(least, summary.cell->repeats());
    most = std::max(most, summary.cell->repeats());
  }
  return (least == most ? "" : std::to_string(least) + " to ") + std::to_string(most) +
         (most == 1 ? " answer" : " answers");
}

std::string heading(const ComparisonGroup& group, const ComparisonReport& report) {
  const RecordedCell& any = *group.cells.at(0).cell;
  return any.model + (any.model_provenance.empty() ? "" : " (" + any.model_provenance + ")") +
         " on " + any.task + ": " + std::to_string(any.questions.size()) + " questions, " +
         answers_text(group) + " to each\n\nCells; Wilson's " + level_text(report) +
         " intervals (with repeats at the effective number of answers)\n";
}

std::string cells_text(const ComparisonGroup& group) {
  Rows rows = {{"cell", "sampler", "setting", "strict %", "flexible %", "numeric %", "invalid %",
                "cut %", "tokens", "evaluations"}};
  for (const CellSummary& summary : group.cells)
    rows.push_back({summary.cell->id, summary.cell->sampler, summary.cell->setting(),
                    percent_text(summary.strict), percent_text(summary.flexible),
                    percent_text(summary.numeric), fixed(100 * summary.invalid_share, 1),
                    fixed(100 * summary.truncated_share, 1), fixed(summary.generated_tokens, 1),
                    fixed(summary.token_evaluations, 1)});
  return aligned_table(rows, 3);
}

std::string repeats_text(const ComparisonGroup& group, const ComparisonReport& report) {
  std::set<int64_t> sizes;
  for (const CellSummary& summary : group.cells)
    for (const CellSummary::Repeated& figure : summary.repeated) sizes.insert(figure.k);
  if (sizes.empty()) return "";
  Rows rows = {{"cell", "sampler", "setting"}};
  for (const int64_t k : sizes) {
    rows[0].push_back("pass@" + std::to_string(k) + " %");
    rows[0].push_back("maj@" + std::to_string(k) + " %");
  }
  for (const CellSummary& summary : group.cells) {
    if (summary.repeated.empty()) continue;
    rows.push_back({summary.cell->id, summary.cell->sampler, summary.cell->setting()});
    for (const int64_t k : sizes) {
      const auto figure =
          std::find_if(summary.repeated.begin(), summary.repeated.end(),
                       [&](const CellSummary::Repeated& entry) { return entry.k == k; });
      const bool known = figure != summary.repeated.end();
      rows.back().push_back(known ? fixed(100 * figure->pass, 1) : "");
      rows.back().push_back(known ? fixed(100 * figure->majority, 1) : "");
    }
  }
  return "\nSeveral answers, scorer " + scorer_name(report) +
         ": means over all subsets of the repeats; in a vote ties are drawn by lot and answers "
         "without a result abstain\n" +
         aligned_table(rows, 3);
}

std::string differences_text(const ComparisonGroup& group, const ComparisonReport& report) {
  if (!group.baseline) return "\nThe baseline has no cell here: nothing to compare.\n";
  if (group.comparisons.empty()) return "\nThere is no other cell to compare with the baseline.\n";
  const auto& bootstrap = report.options.bootstrap;
  Rows rows = {{"cell", "sampler", "setting", "difference", "Tango"}};
  for (const ClusteredInterval& entry : group.comparisons[0].bootstrap)
    rows[0].push_back("bootstrap by " + entry.cluster + " (" + std::to_string(entry.clusters) +
                      ")");
  rows[0].insert(rows[0].end(), {"won", "lost", "differ"});
  for (const Comparison& comparison : group.comparisons) {
    const RecordedCell& cell = cell_of(group, comparison.cell);
    rows.push_back({cell.id, cell.sampler, cell.setting(),
                    signed_fixed(100 * comparison.difference, 1), points_text(comparison.tango)});
    for (const ClusteredInterval& entry : comparison.bootstrap)
      rows.back().push_back(points_text(entry.interval));
    rows.back().push_back(std::to_string(comparison.wins));
    rows.back().push_back(std::to_string(comparison.losses));
    rows.back().push_back(std::to_string(comparison.wins + comparison.losses));
  }
  return "\nMinus " + group.cells[*group.baseline].cell->name() + ", scorer " +
         scorer_name(report) + ", in points (hundredths of all questions); " + level_text(report) +
         " intervals, paired bootstrap of " + std::to_string(bootstrap.resamples) +
         " resamples (expanded percentile, seed " + std::to_string(bootstrap.seed) +
         "); won, lost: questions answered right more often, less often. Description, not test\n" +
         aligned_table(rows, 3);
}

std::string finding(const DeclaredTest& test) {
  switch (test.verdict) {
    case Verdict::kTooFew:
      return "too few discordant pairs to tell";
    case Verdict::kNotShown:
      return "no difference shown";
    case Verdict::kBetter:
      return "better than the baseline";
    case Verdict::kWorse:
      return "worse than the baseline";
  }
  return "";
}

std::string tests_text(const ComparisonGroup& group, const ComparisonReport& report) {
  Rows rows = {{"cell", "sampler", "setting", "finding", "test", "differ", "p", "Holm p"}};
  for (const Comparison& comparison : group.comparisons) {
    if (!comparison.test) continue;
    const DeclaredTest& test = *comparison.test;
    const RecordedCell& cell = cell_of(group, comparison.cell);
    const bool told = test.verdict != Verdict::kTooFew;
    rows.push_back({cell.id, cell.sampler, cell.setting(), finding(test), test.method,
                    std::to_string(test.informative), told ? p_value_text(test.p) : "-",
                    told ? p_value_text(test.holm_p) : "-"});
  }
  if (rows.size() == 1) return "";
  return "\nTests declared before the run: a family of " + std::to_string(report.family_size) +
         " at alpha " + fixed(report.declared->alpha, 3) + ", adjusted by Holm's method\n" +
         aligned_table(rows, 5);
}

std::string frontier_text(const ComputeFrontier& frontier, const ComparisonReport& report) {
  Rows rows = {{"method", "role", "evaluations", "accuracy %", "above frontier", "interval", ""}};
  for (const FrontierEntry& entry : frontier.entries)
    rows.push_back({entry.label,
                    entry.is_on_frontier ? "on the frontier"
                    : entry.is_baseline  ? "baseline"
                                         : "method",
                    fixed(entry.cost, 1), fixed(100 * entry.accuracy, 1),
                    entry.distance ? signed_fixed(100 * *entry.distance, 1) : "",
                    entry.is_baseline ? "" : points_text(entry.distance_interval),
                    entry.is_baseline         ? ""
                    : entry.is_below_cheapest ? "cheaper than any baseline"
                    : entry.is_beyond_dearest ? "dearer than any baseline"
                                              : ""});
  return "\nEqual compute, scorer " + scorer_name(report) +
         ": accuracy against mean token evaluations, and the distance in points from what the "
         "baselines (or a mixture of two) reach at the same mean cost\n" +
         aligned_table(rows, 2);
}

}  // namespace

std::string comparison_text(const ComparisonReport& report) {
  std::string text;
  for (const ComparisonGroup& group : report.groups) {
    text += (text.empty() ? "" : "\n\n") + heading(group, report) + cells_text(group) +
            repeats_text(group, report) + differences_text(group, report) +
            tests_text(group, report);
    if (group.frontier) text += frontier_text(*group.frontier, report);
    text += "\n" + detectable_effects_text(std::ssize(group.cells.at(0).cell->questions),
                                           single_test_alpha(report));
  }
  if (!report.declared)
    text += "\nThe run declares no `analysis`: nothing above is a test.\n";
  else if (report.family_size == 0)
    text += "\nTests were declared against '" + report.declared->baseline + "' with scorer '" +
            std::string(kScorerNames[static_cast<size_t>(report.declared->primary)]) +
            "'; none of them is among these comparisons.\n";
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace surprisal
