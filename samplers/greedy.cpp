#include "samplers/greedy.h"

#include <cmath>

namespace surprisal {

bool can_emit(const StepView& view, TokenId token) {
  const auto index = static_cast<size_t>(token);
  return token >= 0 && index < view.logits.size() && std::isfinite(view.logits[index]);
}

Decision forced_decision(const StepView& view, TokenId token, ActionKind kind) {
  Decision decision;
  decision.action = Emit{token};
  decision.kind = kind;
  decision.temperature = 0;
  decision.kept = 1;
  decision.sampling_logprob = 0;
  if (view.want_distribution)
    decision.distribution = {{token, view.logits[static_cast<size_t>(token)], 1.0F}};
  return decision;
}

Decision argmax_decision(const StepView& view) {
  return forced_decision(view, static_cast<TokenId>(view.statistics->argmax), ActionKind::kArgmax);
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
