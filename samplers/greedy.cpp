#include "samplers/greedy.h"

namespace surprisal {

Decision argmax_decision(const StepView& view) {
  const auto token = static_cast<TokenId>(view.statistics->argmax);
  Decision decision;
  decision.action = Emit{token};
  decision.kind = ActionKind::kArgmax;
  decision.temperature = 0;
  decision.kept = 1;
  decision.sampling_logprob = 0;
  if (view.want_distribution)
    decision.distribution = {{token, view.logits[static_cast<size_t>(token)], 1.0F}};
  return decision;
}

Decision Greedy::decide(const StepView& view, SamplerState* /*state*/,
                        const Draws& /*draws*/) const {
  return argmax_decision(view);
}

SamplerEntry Greedy::entry() {
  return {"always the most likely token",
          [](ParamReader&, const SamplerContext&) { return std::make_unique<Greedy>(); }};
}

}  // namespace surprisal
