#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lib/params.h"
#include "lib/registry.h"
#include "samplers/candidates.h"
#include "samplers/dialect.h"
#include "samplers/sampler.h"

namespace surprisal {

/// Which of a position's draws serves what. A purpose's number never changes, so that two chains
/// with a step in common share that step's randomness.
enum DrawPurpose : uint32_t {
  kTokenDraw = 0,       ///< Gumbel noise of the token choice
  kGateDraw = 1,        ///< whether a random control gate fires
  kInverseCdfDraw = 2,  ///< the uniform number of `draw: inverse_cdf`
  kPythonDraw = 3,      ///< `view.uniform(index)` of a Python sampler
  kAskDraw = 4,         ///< which option a random ask policy takes
  kTwinDraw = 5,        ///< whether a fired state is followed both ways
  kYokeDraw = 6,        ///< where a yoked control intervenes; one number a choice, at position 0
  kXtcDraw = 16,        ///< 16 and above: a chain step's own, one number a step name
  kDirichletDraw = 24,  ///< gamma numbers of Entropix's Dirichlet draws
  kRaceDraw = 32,       ///< 32 and above: further draws of Entropix's races
};

/// What a step may look at besides the candidates.
struct StepContext {
  const StepView& view;
  const Draws& draws;
};

/// One rule of a chain: it edits, reshapes or truncates the candidates. Const and shared by all
/// requests, like a Sampler; what changes from token to token lives in its state.
class ChainStep {
 public:
  virtual ~ChainStep() = default;

  virtual void apply(Candidates& candidates, const StepContext& context,
                     SamplerState* state) const = 0;

  /// The state before the first token; null for steps without memory.
  virtual std::unique_ptr<SamplerState> start() const { return nullptr; }
  /// Told of the token that was chosen from the chain's distribution (mirostat, adaptive-p); may
  /// add to the decision's metrics.
  virtual void chosen(TokenId /*token*/, Decision& /*decision*/, SamplerState* /*state*/) const {}
  /// Told of every token that enters the context.
  virtual void observe(TokenId /*token*/, TokenSource /*source*/, SamplerState* /*state*/) const {}
};

/// Where in a chain a rule belongs by convention; the order in the YAML decides.
enum class StepStage {
  kEdit,      ///< changes logits by what stands in the context
  kReshape,   ///< changes the distribution's shape
  kTruncate,  ///< drops tokens
  kSelect,    ///< steers the draw by what was drawn before; must be the last step
};
inline constexpr std::string_view kStepStageNames[] = {"edit", "reshape", "truncate", "select"};

/// What a step's factory may know.
struct StepBuild {
  Dialect dialect;
  const SamplerContext& sampler;
};

/// One row of the table of chain steps.
struct StepEntry {
  StepStage stage;
  std::string summary;  ///< the rule as a formula, and its source
  /// The parameter that `{name: value}` sets, or "".
  std::string main_parameter;
  std::function<std::unique_ptr<ChainStep>(ParamReader&, const StepBuild&)> create;
  std::string dialects = "";  ///< where they differ; "" where they do not
};
using StepRegistry = Registry<StepEntry>;

/// temperature, top_k, top_p, min_p, ...
StepRegistry builtin_chain_steps();

/// `min_keep`, which many rules share.
size_t read_min_keep(ParamReader& params);

}  // namespace surprisal
