#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "experiments/analysis_plan.h"
#include "experiments/job.h"
#include "experiments/walk.h"
#include "lib/params.h"
#include "lib/registry.h"

namespace surprisal {

/// A method that owns several answers at once and hands over one of them: voting, search, early
/// stopping. It stands above a sampler, which chooses the tokens. Const after construction.
class Strategy {
 public:
  virtual ~Strategy() = default;

  /// Begins to answer `request`.
  /// @param tree, on_token  outlive the job
  virtual std::unique_ptr<Job> start(GenerationRequest request, TokenTree& tree,
                                     const WalkSetting& setting,
                                     const TokenCallback& on_token) const = 0;

  /// Most answers it follows at once or one after the other. Answer j of repeat r draws what repeat
  /// r * answers() + j of the sampler alone would draw.
  virtual int64_t answers() const = 0;
  /// Whose reading of an answer its votes and branches go by.
  virtual Scorer scorer() const { return Scorer::kNumeric; }
  /// Whether its answers are repeats of the sampler: pointless where that draws the same each time.
  virtual bool repeats_sampler() const { return false; }
  /// Why a second answer to a question would be the first again; none: it would not.
  virtual std::optional<std::string> refuses_repeats() const { return std::nullopt; }
};

/// One row of the table of strategies.
struct StrategyEntry {
  std::string summary;  ///< one line
  /// Reads the parameters (strictly) and builds the strategy.
  std::function<std::unique_ptr<Strategy>(ParamReader&)> create;
};
using StrategyRegistry = Registry<StrategyEntry>;

/// beam_search, best_of_n, cot_decoding, deepconf, entropy_gated, self_consistency
StrategyRegistry builtin_strategies();

/// A sampler's map is {type: ..., parameters..., strategy: {type: ..., parameters...}}.
/// @param strategy  out: the map of `strategy`, null when there is none
/// @return          the sampler's own map, without it
YAML::Node without_strategy(const YAML::Node& sampler, YAML::Node* strategy);

/// Builds one from its map.
/// @param owner     for messages: "sampler 'vote': strategy"
/// @param resolved  out (may be null): {"type": ..., every parameter with its value}
/// @throws Error(kConfig, kUnknownName) with file:line
std::unique_ptr<Strategy> create_strategy(const StrategyRegistry& registry, const YAML::Node& node,
                                          const std::string& owner, const std::string& file,
                                          Json* resolved);

/// Reads `scorer`: by whose reading answers count as equal.
Scorer read_vote_scorer(ParamReader& params);

}  // namespace surprisal
