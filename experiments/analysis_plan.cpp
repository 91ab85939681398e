#include "experiments/analysis_plan.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "experiments/statistics/detectable_effect.h"
#include "experiments/text_table.h"
#include "lib/error.h"

namespace surprisal {
namespace {

std::vector<std::string> scorer_names() {
  return {std::begin(kScorerNames), std::end(kScorerNames)};
}

}  // namespace

Scorer scorer_of(const std::string& name) {
  const auto found = std::find(std::begin(kScorerNames), std::end(kScorerNames), name);
  if (found == std::end(kScorerNames)) throw unknown_name_error("scorer", name, scorer_names());
  return static_cast<Scorer>(found - std::begin(kScorerNames));
}

bool is_right(const Score& score, Scorer scorer) {
  return scorer == Scorer::kStrict     ? score.strict
         : scorer == Scorer::kFlexible ? score.flexible
                                       : score.numeric;
}

const std::string& extracted_answer(const Score& score, Scorer scorer) {
  return scorer == Scorer::kStrict     ? score.extracted_strict
         : scorer == Scorer::kFlexible ? score.extracted_flexible
                                       : score.extracted_numeric;
}

AnalysisPlan read_analysis(ParamReader& reader) {
  AnalysisPlan plan;
  plan.primary =
      scorer_of(reader.choice("primary", "numeric", scorer_names(), "the scorer that decides"));
  plan.baseline = reader.string("baseline", std::nullopt,
                                "sampler (or cell) that the others are tested against");
  plan.family = reader.strings("family", {}, "samplers (or cells) to test; each is one test");
  plan.alpha = reader.number("alpha", 0.05, {0, 0.5, true, true}, "",
                             "chance of any false finding in the whole family");
  plan.cluster = reader.string("cluster", "question",
                               "question, or a tag (template_id) whose problems belong together");
  if (plan.cluster == "question") plan.cluster = "";
  if (reader.is_describing()) return plan;
  if (plan.family.empty())
    throw reader.error("family", "name at least one sampler or cell to test");
  for (auto name = plan.family.begin(); name != plan.family.end(); ++name) {
    if (*name == plan.baseline)
      throw reader.error("family", "'" + *name + "' is the baseline itself");
    if (std::find(plan.family.begin(), name, *name) != name)
      throw reader.error("family", "'" + *name + "' stands twice");
  }
  return plan;
}

size_t check_names(const AnalysisPlan& plan, std::span<const DeclarableCell> cells,
                   const std::string& where) {
  std::vector<std::string> names = plan.family, known;
  names.push_back(plan.baseline);
  for (const DeclarableCell& cell : cells) known.insert(known.end(), {cell.sampler, cell.id});
  for (const std::string& name : names)
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::sort(known.begin(), known.end());
      known.erase(std::unique(known.begin(), known.end()), known.end());
      throw unknown_name_error("sampler or cell", name, known, where + ": analysis");
    }
  std::set<size_t> groups;  // in which the baseline has a cell
  for (const DeclarableCell& cell : cells)
    if ((cell.sampler == plan.baseline || cell.id == plan.baseline) &&
        !groups.insert(cell.group).second)
      throw Error(ErrorCode::kConfig, where + ": analysis: baseline: sampler '" + plan.baseline +
                                          "' has several settings in this sweep; name one cell "
                                          "(--dry-run lists them)");
  return static_cast<size_t>(
      std::count_if(cells.begin(), cells.end(), [&](const DeclarableCell& cell) {
        const bool named = std::any_of(
            plan.family.begin(), plan.family.end(),
            [&](const std::string& name) { return name == cell.sampler || name == cell.id; });
        return named && groups.contains(cell.group);
      }));
}

std::string detectable_effects_text(int64_t questions, double alpha) {
  std::string text = "With " + std::to_string(questions) +
                     (questions == 1 ? " question" : " questions") +
                     " answered once, the smallest difference in points that an exact test at " +
                     fixed(alpha, 3) + " finds four times in five: ";
  const char* before = "";
  const char* on = " where the two disagree on ";
  for (const DetectableEffect& effect : detectable_effects(questions, alpha)) {
    text += before + (effect.difference ? fixed(100 * *effect.difference, 1) : "none") + on +
            fixed(100 * effect.discordance, 0) + " %";
    before = ", ";
    on = " on ";
  }
  return text + ".\n";
}

}  // namespace surprisal
