#pragma once

#include <memory>
#include <string>
#include <vector>

#include "samplers/chain_step.h"
#include "samplers/presets.h"
#include "samplers/sampler.h"
#include "samplers/selection.h"

namespace surprisal {

/// Rules applied to the logits in the order given, then a draw from what is left: by Gumbel-max
/// keyed by token id, or by inverse CDF in the order of token ids. `dialect` says whose rule is
/// meant where engines differ; a `preset` takes an engine's dialect, its order (whatever order
/// `steps` are listed in) and its defaults.
class Chain : public Sampler {
 public:
  /// Reads `preset`, `dialect`, `draw` and `steps`: a list of {rule: {parameters}} or {rule: main
  /// parameter}.
  /// @param default_steps  what an absent `steps` means, as YAML
  Chain(ParamReader& params, const SamplerContext& context,
        const std::string& default_steps = "[]");

  std::unique_ptr<SamplerState> start() const override;
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override;
  void observe(TokenId token, TokenSource source, SamplerState* state) const override;

  static SamplerEntry entry();

 private:
  void read_steps(const YAML::Node& list, const ChainPreset* preset, ParamReader& params,
                  const StepBuild& build);

  std::vector<std::unique_ptr<ChainStep>> steps_;
  DrawMethod draw_;
};

}  // namespace surprisal
