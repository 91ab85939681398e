#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/task.h"
#include "lib/params.h"

namespace surprisal {

/// The scorers of every task, by the names of samples.jsonl.
inline constexpr std::string_view kScorerNames[] = {"strict", "flexible", "numeric"};
enum class Scorer { kStrict, kFlexible, kNumeric };

/// @throws Error(kUnknownName) with a suggestion
Scorer scorer_of(const std::string& name);
bool is_right(const Score& score, Scorer scorer);
/// The answer that the scorer saw, "[invalid]" if none.
const std::string& extracted_answer(const Score& score, Scorer scorer);

/// What an experiment's `analysis:` declares before the run: the only comparisons that are reported
/// as tests. Everything else is description.
struct AnalysisPlan {
  Scorer primary = Scorer::kNumeric;
  std::string baseline;             ///< a sampler's name, or a cell's id
  std::vector<std::string> family;  ///< what is tested against it: samplers (all cells), or cells
  double alpha = 0.05;              ///< of the whole family
  std::string cluster;              ///< tag whose problems belong together; "" = each on its own
};

/// Reads {primary, baseline, family, alpha, cluster}.
/// @throws Error(kConfig, kUnknownName) with file:line
AnalysisPlan read_analysis(ParamReader& reader);

/// A cell as far as its name goes. Cells of one group answer the same questions under the same
/// conditions.
struct DeclarableCell {
  std::string sampler, id;
  size_t group = 0;
};

/// Whether every name in the plan means something in an experiment of these cells, and the baseline
/// one cell of a group at most.
/// @param where  for messages
/// @return       the number of tests it declares
/// @throws Error(kUnknownName) with a suggestion, Error(kConfig)
size_t check_names(const AnalysisPlan& plan, std::span<const DeclarableCell> cells,
                   const std::string& where);

/// One sentence: the differences that so many questions can show at this alpha
/// (detectable_effects()).
std::string detectable_effects_text(int64_t questions, double alpha);

}  // namespace surprisal
