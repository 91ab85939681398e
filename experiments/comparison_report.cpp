#include "experiments/comparison_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "experiments/repeated_answers.h"
#include "experiments/results_format.h"
#include "experiments/statistics/holm.h"
#include "lib/error.h"

namespace surprisal {
namespace {

bool means(const std::string& name, const RecordedCell& cell) {
  return name == cell.id || name == cell.sampler;
}

bool means_any(const std::vector<std::string>& names, const RecordedCell& cell) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return means(name, cell); });
}

CellSummary summarise(const RecordedCell& cell, const ComparisonOptions& options) {
  CellSummary summary;
  summary.cell = &cell;
  std::vector<Tally> tallies[std::size(kScorerNames)];
  int64_t invalid = 0, truncated = 0, generated = 0, evaluations = 0;
  for (const RecordedCell::Question& question : cell.questions) {
    for (size_t s = 0; s < std::size(kScorerNames); ++s) {
      Tally tally;
      for (const Sample& sample : question.answers) {
        tally.answers += 1;
        tally.correct += is_right(sample.score, static_cast<Scorer>(s));
      }
      tallies[s].push_back(tally);
    }
    for (const Sample& sample : question.answers) {
      invalid += !sample.score.valid;
      truncated +=
          sample.stop_reason == StopReason::kLength || sample.stop_reason == StopReason::kContext;
      generated += sample.generated_tokens;
      evaluations += sample.cost.token_evaluations;
    }
  }
  summary.strict = clustered_proportion(tallies[0], options.confidence);
  summary.flexible = clustered_proportion(tallies[1], options.confidence);
  summary.numeric = clustered_proportion(tallies[2], options.confidence);
  const auto questions = static_cast<double>(cell.questions.size());
  const double answers = questions * static_cast<double>(cell.repeats());
  summary.invalid_share = static_cast<double>(invalid) / answers;
  summary.truncated_share = static_cast<double>(truncated) / answers;
  summary.generated_tokens = static_cast<double>(generated) / answers;
  summary.token_evaluations = static_cast<double>(evaluations) / answers;
  for (const int64_t k : shown_subset_sizes(cell.repeats())) {
    CellSummary::Repeated figure{.k = k, .pass = 0, .majority = 0};
    for (const RecordedCell::Question& question : cell.questions) {
      figure.pass += question_pass_at_k(question, options.scorer, k) / questions;
      figure.majority += question_majority_at_k(question, options.scorer, k) / questions;
    }
    summary.repeated.push_back(figure);
  }
  return summary;
}

/// The first run's cells by their conditions, in the order of cells.json; then those of other runs,
/// each of which must fit somewhere.
std::vector<ComparisonGroup> group_cells(const std::vector<RecordedRun>& runs,
                                         const ComparisonOptions& options,
                                         std::vector<std::string>& notes) {
  std::vector<ComparisonGroup> groups;
  std::map<std::string, size_t> group_of;
  std::set<std::string> ids;
  for (size_t r = 0; r < runs.size(); ++r)
    for (const RecordedCell& cell : runs[r].cells) {
      const std::string key = canonical_json(cell.conditions());
      if (!group_of.contains(key)) {
        if (r > 0) require_comparable(*groups.at(0).cells.at(0).cell, cell);  // says what differs
        group_of[key] = groups.size();
        groups.emplace_back();
      }
      ComparisonGroup& group = groups[group_of[key]];
      if (!group.cells.empty()) require_comparable(*group.cells[0].cell, cell);
      if (!ids.insert(cell.id).second) {
        notes.push_back(runs[r].path + ": cell " + cell.id + " (" + cell.name() +
                        ") is already in " + runs[0].path + " and is left out here.");
        continue;
      }
      group.cells.push_back(summarise(cell, options));
    }
  return groups;
}

/// The one cell of a group that a name means.
std::optional<size_t> find_baseline(const ComparisonGroup& group, const std::string& name) {
  std::vector<size_t> found;
  std::string choices;
  for (size_t c = 0; c < group.cells.size(); ++c) {
    const RecordedCell& cell = *group.cells[c].cell;
    if (!means(name, cell)) continue;
    found.push_back(c);
    choices += "\n  " + cell.id + "  " + cell.name();
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1)
    throw Error(ErrorCode::kUsage,
                "baseline '" + name + "' has several settings; name one cell:" + choices);
  return found[0];
}

void require_known(const std::vector<std::string>& names, const std::string& what,
                   const std::vector<ComparisonGroup>& groups) {
  std::set<std::string> known;
  for (const ComparisonGroup& group : groups)
    for (const CellSummary& summary : group.cells)
      known.insert({summary.cell->sampler, summary.cell->id});
  for (const std::string& name : names)
    if (!known.contains(name))
      throw unknown_name_error(what, name, std::vector<std::string>(known.begin(), known.end()));
}

std::optional<AnalysisPlan> declared_plan(const RecordedRun& run) {
  if (!run.config.contains("analysis") || run.config.at("analysis").is_null()) return std::nullopt;
  ParamReader reader(yaml_from_json(run.config.at("analysis")), "analysis",
                     run.path + "/config.yaml");
  AnalysisPlan plan = read_analysis(reader);
  reader.finish();
  return plan;
}

void add_tests(const AnalysisPlan& plan, const std::set<std::string>& declared_cells,
               ComparisonReport& report) {
  std::vector<Comparison*> family;
  std::vector<double> p_values;
  for (ComparisonGroup& group : report.groups) {
    std::map<std::string, const RecordedCell*> cell_of;
    for (const CellSummary& summary : group.cells) cell_of[summary.cell->id] = summary.cell;
    for (Comparison& comparison : group.comparisons) {
      const RecordedCell& cell = *cell_of.at(comparison.cell);
      if (!means_any(plan.family, cell) || !declared_cells.contains(cell.id)) continue;
      comparison.test = test_cells(*cell_of.at(comparison.baseline), cell, plan);
      family.push_back(&comparison);
      p_values.push_back(comparison.test->p);
    }
  }
  const std::vector<double> adjusted = holm_adjusted(p_values);
  for (size_t i = 0; i < family.size(); ++i) {
    DeclaredTest& test = *family[i]->test;
    test.holm_p = adjusted[i];
    if (test.verdict != Verdict::kTooFew && test.holm_p <= plan.alpha)
      test.verdict = family[i]->difference > 0 ? Verdict::kBetter : Verdict::kWorse;
  }
  report.family_size = family.size();
}

double interventions(const RecordedCell& cell) {
  double count = 0;
  for (const RecordedCell::Question& question : cell.questions)
    for (const Sample& answer : question.answers)
      count += static_cast<double>(answer.interventions);
  return count;
}

/// Names a report must not keep quiet about.
void add_notes(ComparisonReport& report) {
  for (const ComparisonGroup& group : report.groups) {
    std::map<std::string, int64_t> settings;
    for (const CellSummary& summary : group.cells) ++settings[summary.cell->sampler];
    for (const auto& [sampler, count] : settings)
      if (count > 1) report.notes.push_back(several_settings_note(sampler, count));
    std::set<std::string> labels;
    for (const CellSummary& summary : group.cells)
      if (!summary.cell->sampler_label.empty())
        labels.insert(summary.cell->sampler + ": " + summary.cell->sampler_label);
    for (const CellSummary& summary : group.cells)
      if (!summary.cell->choice.empty())
        labels.insert(summary.cell->name() + ": " + summary.cell->choice);
    for (const CellSummary& summary : group.cells) {
      const Json sampler = summary.cell->identity.value("sampler", Json::object());
      if (!sampler.contains("yoked_to")) continue;
      for (const CellSummary& other : group.cells)
        if (other.cell->id == sampler.at("yoked_to") &&
            other.cell->repeats() == summary.cell->repeats())
          labels.insert(yoke_note(summary.cell->name(), interventions(*other.cell),
                                  interventions(*summary.cell)));
    }
    report.notes.insert(report.notes.end(), labels.begin(), labels.end());
  }
  std::sort(report.notes.begin(), report.notes.end());
  report.notes.erase(std::unique(report.notes.begin(), report.notes.end()), report.notes.end());
}

}  // namespace

double single_test_alpha(const ComparisonReport& report) {
  return (1 - report.options.confidence) /
         static_cast<double>(std::max<size_t>(report.family_size, 1));
}

ComparisonReport compare_runs(const std::vector<RecordedRun>& runs,
                              const ComparisonRequest& request) {
  ComparisonReport report;
  for (const RecordedRun& run : runs) report.runs.push_back(run.path);
  report.declared = declared_plan(runs.at(0));
  if (!request.scorer.empty())
    report.options.scorer = scorer_of(request.scorer);
  else if (report.declared)
    report.options.scorer = report.declared->primary;
  if (report.declared) report.options.confidence = 1 - report.declared->alpha;
  report.options.bootstrap = request.bootstrap;
  report.groups = group_cells(runs, report.options, report.notes);

  const std::string baseline = !request.baseline.empty() ? request.baseline
                               : report.declared         ? report.declared->baseline
                                                         : "";
  if (baseline.empty())
    throw Error(ErrorCode::kUsage,
                "no baseline: give --baseline SAMPLER_OR_CELL (the run declares no `analysis`)");
  require_known({baseline}, "baseline", report.groups);
  require_known(request.with, "cell or sampler", report.groups);
  require_known(request.frontier, "cell or sampler", report.groups);
  if (report.declared) require_known(report.declared->family, "family member", report.groups);

  for (ComparisonGroup& group : report.groups) {
    const std::string tag = report.declared ? report.declared->cluster : "";
    group.baseline = find_baseline(group, baseline);
    if (group.baseline)
      for (const CellSummary& summary : group.cells)
        if (summary.cell != group.cells[*group.baseline].cell)
          group.comparisons.push_back(
              compare_cells(*group.cells[*group.baseline].cell, *summary.cell, report.options));
    std::vector<const RecordedCell*> cells;
    std::vector<bool> spans;
    for (const CellSummary& summary : group.cells) {
      cells.push_back(summary.cell);
      spans.push_back(request.frontier.empty() ? is_plain_decoding(*summary.cell)
                                               : means_any(request.frontier, *summary.cell));
    }
    if (std::find(spans.begin(), spans.end(), true) != spans.end())
      group.frontier = compute_frontier(cells, spans, tag, report.options);
  }

  const bool as_declared = report.declared && baseline == report.declared->baseline &&
                           report.options.scorer == report.declared->primary;
  if (as_declared) {
    std::set<std::string> declared_cells;
    for (const RecordedCell& cell : runs[0].cells) declared_cells.insert(cell.id);
    add_tests(*report.declared, declared_cells, report);
  }
  if (!request.with.empty())  // after the tests: a family is adjusted whole
    for (ComparisonGroup& group : report.groups) {
      std::set<std::string> wanted;
      for (const CellSummary& summary : group.cells)
        if (means_any(request.with, *summary.cell)) wanted.insert(summary.cell->id);
      std::erase_if(group.comparisons,
                    [&](const Comparison& c) { return !wanted.contains(c.cell); });
    }
  add_notes(report);
  return report;
}

}  // namespace surprisal
