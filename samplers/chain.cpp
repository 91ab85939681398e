#include "samplers/chain.h"

#include <algorithm>

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

/// The name of the preset, or "". It is no part of the resolved values: what it means is.
std::string read_preset(ParamReader& params) {
  const YAML::Node node = params.raw(
      "preset", "string hf | llama | vllm",
      "an engine's dialect, order of rules (steps may be listed in any) and default steps");
  if (!node.IsDefined()) return "";
  const std::vector<std::string> known(std::begin(kDialectNames), std::end(kDialectNames));
  if (!node.IsScalar() || std::find(known.begin(), known.end(), node.Scalar()) == known.end())
    throw params.error("preset", "expected hf, llama or vllm");
  return node.Scalar();
}

}  // namespace

Chain::Chain(ParamReader& params, const SamplerContext& context, const std::string& default_steps) {
  const std::string preset_name = read_preset(params);
  const bool is_preset = !preset_name.empty();
  const std::string dialect_name =
      params.choice("dialect", is_preset ? preset_name : "hf", {"hf", "llama", "vllm"},
                    "whose rule is meant where engines differ");
  if (is_preset && dialect_name != preset_name)
    throw params.error("dialect",
                       "the preset's own is " + preset_name + "; leave out one of the two");
  const auto dialect = static_cast<Dialect>(
      std::find(std::begin(kDialectNames), std::end(kDialectNames), dialect_name) -
      std::begin(kDialectNames));
  draw_ = params.choice("draw", "gumbel", {"gumbel", "inverse_cdf"},
                        "how the token is chosen: gumbel: the largest logit + noise of its id, so "
                        "that settings that see the same row agree; inverse_cdf: the first id at "
                        "which the summed probability reaches one uniform number") == "gumbel"
              ? DrawMethod::kGumbel
              : DrawMethod::kInverseCdf;
  const ChainPreset* preset = is_preset ? &chain_preset(dialect) : nullptr;
  const std::string& defaults = preset ? preset->default_steps : default_steps;
  YAML::Node list = params.raw("steps", "list of {rule: value} or {rule: {parameters}}",
                               "rules in the order of their application (steps.NAME of `chain`); "
                               "default: the preset's, or " +
                                   defaults);
  if (!list.IsDefined()) list.reset(parse_yaml(defaults, params.file()));
  read_steps(list, preset, params, {dialect, context});
}

void Chain::read_steps(const YAML::Node& list, const ChainPreset* preset, ParamReader& params,
                       const StepBuild& build) {
  const StepRegistry registry = builtin_chain_steps();
  if (params.is_describing()) {  // document every rule there is
    for (const std::string& rule : registry.names()) {
      const StepEntry& entry = registry.get(rule);
      ParamReader reader = ParamReader::describing(rule);
      entry.create(reader, build);
      params.append_docs(
          "steps",
          {{rule, std::string(kStepStageNames[static_cast<size_t>(entry.stage)]) + " rule", "", "",
            false, nullptr,
            entry.summary + (entry.dialects.empty() ? "" : "; dialects: " + entry.dialects) +
                (entry.main_parameter.empty()
                     ? ""
                     : "; short form {" + rule + ": " + entry.main_parameter + "}")}});
      params.append_docs("steps." + rule, reader.docs());
    }
  }
  if (!list.IsSequence()) throw params.error("steps", "expected a list of rules");
  struct Item {
    size_t rank;  ///< in the preset's order
    std::string rule, place;
    YAML::Node value;
  };
  std::vector<Item> items;
  for (const YAML::Node& node : list) {
    const std::string place = yaml_place(params.file(), node) + ": " + params.owner() + ": steps";
    if (!node.IsMap() || node.size() != 1)
      throw Error(ErrorCode::kConfig,
                  place + ": expected one rule, such as {top_k: 40} or {top_k: {k: 40}}");
    Item item{0, node.begin()->first.as<std::string>(), place, node.begin()->second};
    registry.get(item.rule, place);
    if (preset != nullptr) {
      const auto found = std::find(preset->order.begin(), preset->order.end(), item.rule);
      if (found == preset->order.end())
        throw Error(ErrorCode::kConfig, place + ": " + item.rule +
                                            ": not a rule of this preset's "
                                            "engine; leave out `preset` "
                                            "and give the order yourself");
      item.rank = static_cast<size_t>(found - preset->order.begin());
    }
    items.push_back(std::move(item));
  }
  std::vector<const Item*> order;  // assigning a YAML::Node, as sorting items would, changes it
  for (const Item& item : items) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(),
                   [](const Item* a, const Item* b) { return a->rank < b->rank; });
  Json resolved = Json::array();
  for (const Item* each : order) {
    const Item& item = *each;
    const StepEntry& entry = registry.get(item.rule);
    if (entry.stage == StepStage::kSelect && each != order.back())
      throw Error(ErrorCode::kConfig,
                  item.place + ": " + item.rule + " must be the last of the steps");
    ParamReader reader(
        entry.main_parameter.empty() ? item.value : yaml_map_of(item.value, entry.main_parameter),
        params.owner() + ": steps: " + item.rule, params.file());
    steps_.push_back(entry.create(reader, build));
    reader.finish();
    resolved.push_back(Json{{item.rule, reader.resolved()}});
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
  Candidates candidates(view.logits, *view.statistics, view.shared);
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i]->apply(candidates, context, states.of(i));
  Decision decision = sample(candidates, draws, view.want_distribution, draw_);
  const TokenId token = std::get<Emit>(decision.action).token;
  for (size_t i = 0; i < steps_.size(); ++i) steps_[i]->chosen(token, decision, states.of(i));
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
