#include "samplers/greedy.h"

namespace surprisal {

Decision forced_decision(const StepView& view, TokenId token, ActionKind kind) {
  if (token < 0 || static_cast<size_t>(token) >= view.logits.size())
    throw Error(ErrorCode::kConfig, "token " + std::to_string(token) +
                                        " is outside the vocabulary of " +
                                        std::to_string(view.logits.size()));
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
