#include "samplers/chain.h"

#include "samplers/selection.h"

namespace surprisal {
namespace {

/// One state a step; null where the step has none.
class ChainState : public SamplerState {
 public:
  std::unique_ptr<SamplerState> clone() const override {
    auto copy = std::make_unique<ChainState>();
    for (const auto& state : steps) copy->steps.push_back(state ? state->clone() : nullptr);
    return copy;
  }
  SamplerState* of(size_t step) const { return steps[step].get(); }

  std::vector<std::unique_ptr<SamplerState>> steps;
};

}  // namespace

Chain::Chain(ParamReader& params, const SamplerContext& context, const std::string& default_steps) {
  const std::string dialect =
      params.choice("dialect", "hf", {"hf", "llama"}, "whose rule is meant where engines differ");
  const StepBuild build{dialect == "llama" ? Dialect::kLlama : Dialect::kHf, context};
  YAML::Node list =
      params.raw("steps", "list of {rule: value} or {rule: {parameters}}",
                 "rules in the order of their application; default: " + default_steps);
  if (!list.IsDefined()) list.reset(parse_yaml(default_steps, params.file()));
  read_steps(list, params, build);
}

void Chain::read_steps(const YAML::Node& list, ParamReader& params, const StepBuild& build) {
  const StepRegistry registry = builtin_chain_steps();
  if (params.is_describing()) {  // document every rule there is
    for (const std::string& rule : registry.names()) {
      ParamReader reader = ParamReader::describing(rule);
      registry.get(rule).create(reader, build);
      params.append_docs("steps." + rule, reader.docs());
    }
  }
  if (!list.IsSequence()) throw params.error("steps", "expected a list of rules");
  Json resolved = Json::array();
  for (const YAML::Node& item : list) {
    const std::string place = yaml_place(params.file(), item) + ": " + params.owner() + ": steps";
    if (!item.IsMap() || item.size() != 1)
      throw Error(ErrorCode::kConfig,
                  place + ": expected one rule, such as {top_k: 40} or {top_k: {k: 40}}");
    const std::string rule = item.begin()->first.as<std::string>();
    const StepEntry& entry = registry.get(rule, place);
    const YAML::Node value = item.begin()->second;
    ParamReader reader(
        entry.main_parameter.empty() ? value : yaml_map_of(value, entry.main_parameter),
        params.owner() + ": steps: " + rule, params.file());
    steps_.push_back(entry.create(reader, build));
    reader.finish();
    resolved.push_back(Json{{rule, reader.resolved()}});
  }
  params.set_resolved("steps", std::move(resolved));
}

std::unique_ptr<SamplerState> Chain::start() const {
  auto state = std::make_unique<ChainState>();
  for (const auto& step : steps_) state->steps.push_back(step->start());
  return state;
}

Decision Chain::decide(const StepView& view, SamplerState* state, const Draws& draws) const {
  auto& states = static_cast<ChainState&>(*state);
  const StepContext context{view, draws};
  Candidates candidates(view.logits, *view.statistics);
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i]->apply(candidates, context, states.of(i));
  const Decision decision = sample(candidates, draws, view.want_distribution);
  const TokenId token = std::get<Emit>(decision.action).token;
  for (size_t i = 0; i < steps_.size(); ++i)
    steps_[i]->chosen(candidates, token, decision.sampling_logprob, states.of(i));
  return decision;
}

void Chain::observe(TokenId token, TokenSource source, SamplerState* state) const {
  auto& states = static_cast<ChainState&>(*state);
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i]->observe(token, source, states.of(i));
}

SamplerEntry Chain::entry() {
  return {"rules in the order given (temperature, top_k, ...), then a draw",
          [](ParamReader& params, const SamplerContext& context) {
            return std::make_unique<Chain>(params, context);
          }};
}

}  // namespace surprisal
