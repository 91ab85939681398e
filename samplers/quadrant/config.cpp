#include "samplers/quadrant/config.h"

#include <algorithm>
#include <limits>

namespace surprisal {
namespace {

const std::vector<std::string> kActions = {"argmax", "chain",    "hotter", "think",
                                           "branch", "retrieve", "ask",    "rewind"};
const std::vector<std::string> kPlainActions = {"argmax", "chain", "hotter"};

ActionKind action_of(const std::string& name) {
  const auto found = std::find(std::begin(kActionNames), std::end(kActionNames), name);
  return static_cast<ActionKind>(found - std::begin(kActionNames));
}

/// `axis_cut`, or `axis_low` and `axis_high`.
AxisCut read_axis(ParamReader& params, const std::string& axis, double default_cut,
                  const std::string& unit) {
  const double cut = params.number(axis + "_cut", default_cut, {.min = 0}, unit,
                                   axis + " below it is low, from it on high");
  const auto low = params.optional_number(axis + "_low", {.min = 0}, unit,
                                          "dead band instead of the cut: low below this");
  const auto high = params.optional_number(axis + "_high", {.min = 0}, unit,
                                           "dead band: high from this on; in it, state `between`");
  if (!low && !high) return {cut, cut};
  if (!low || !high)
    throw params.error(axis + (low ? "_low" : "_high"),
                       axis + "_low and " + axis + "_high go together");
  if (params.has(axis + "_cut"))
    throw params.error(axis + "_cut", "give either the cut or the dead band");
  if (*low >= *high) throw params.error(axis + "_low", "must be below " + axis + "_high");
  params.set_resolved(axis + "_cut", nullptr);
  return {*low, *high};
}

GateBounds read_bounds(ParamReader& params, const std::string& signal, Range range,
                       const std::string& unit) {
  GateBounds bounds;
  bounds.above =
      params.optional_number(signal + "_above", range, unit, "gate: " + signal + " at least this");
  bounds.below =
      params.optional_number(signal + "_below", range, unit, "gate: " + signal + " below this");
  return bounds;
}

StateRule read_rule(ParamReader& params, State state, const std::string& default_action) {
  const std::string name(kStateNames[static_cast<size_t>(state)]);
  const bool plain = state == State::kReflecting;  // no intervention within an intervention
  StateRule rule;
  params.map(
      name, "what is done in state " + name + ": an action, or a map",
      [&](ParamReader& map) {
        const std::string action =
            map.choice("action", default_action, plain ? kPlainActions : kActions, "what is done");
        rule.action = action_of(action);
        rule.otherwise = action_of(
            map.choice("otherwise", "chain", kPlainActions,
                       "what is done when a gate fails or an intervention is not allowed"));
        rule.attention_entropy = read_bounds(map, "attention_entropy", {.min = 0}, "nats");
        rule.agreement = read_bounds(map, "agreement", {.min = 0, .max = 1}, "");
        rule.max_probability = read_bounds(map, "max_probability", {.min = 0, .max = 1}, "");
        const std::string fork =
            map.choice("fork", "any", {"any", "yes", "no"}, "gate: the fork predicate's value");
        if (fork != "any") rule.fork = fork == "yes";
      },
      "action");
  return rule;
}

/// Bounds on any statistic, all of which a calm token must keep.
void read_until(ParamReader& params, ThinkRule& think) {
  params.map("until", "what ends a reflection instead of calm_entropy: all bounds given hold",
             [&](ParamReader& map) {
               think.entropy = read_bounds(map, "entropy", {.min = 0}, "nats");
               think.varentropy = read_bounds(map, "varentropy", {.min = 0}, "nats^2");
               think.max_probability =
                   read_bounds(map, "max_probability", {.min = 0, .max = 1}, "");
               think.attention_entropy = read_bounds(map, "attention_entropy", {.min = 0}, "nats");
               think.agreement = read_bounds(map, "agreement", {.min = 0, .max = 1}, "");
             });
}

ThinkRule read_think(ParamReader& params, const Tokenizer* tokenizer) {
  ThinkRule think{};
  const Range count{.min = 0, .max = 1e9};
  params.map("think", "inserting a thought", [&](ParamReader& map) {
    think.text = map.string("text", " Wait,", "what is inserted, through the model's tokenizer");
    if (think.text.empty()) throw map.error("text", "must not be empty");
    if (tokenizer != nullptr) think.tokens = tokenizer->encode(think.text, false, false);
    think.first_after = map.integer("first_after", 0, count, "tokens",
                                    "tokens of the answer before the first insertion");
    think.cooldown = map.integer("cooldown", 32, count, "tokens",
                                 "tokens from a reflection's end to the next insertion");
    think.max_per_answer = map.integer("max_per_answer", 3, count, "insertions", "at most");
    const double calm_entropy =
        map.number("calm_entropy", 1.0, {.min = 0}, "nats",
                   "reflection ends once entropy stays below this for calm_tokens");
    read_until(map, think);
    if (think.entropy.is_set() || think.varentropy.is_set() || think.max_probability.is_set() ||
        think.reads_attention()) {
      if (map.has("calm_entropy"))
        throw map.error("calm_entropy", "give either calm_entropy or `until`");
      map.set_resolved("calm_entropy", nullptr);
    } else {
      think.entropy.below = calm_entropy;
    }
    think.calm_tokens = map.integer("calm_tokens", 5, {.min = 1, .max = 1e9}, "tokens",
                                    "so many calm ones in a row");
    think.cap = map.integer("cap", 64, {.min = 1, .max = 1e9}, "tokens",
                            "after which reflection ends anyway");
  });
  return think;
}

ControlGate read_gate(ParamReader& params) {
  const std::string gate = params.choice(
      "gate", "states", {"states", "entropy", "max_probability", "random", "ending", "yoked"},
      "what decides when an intervention happens; all but `states` are experimental controls; "
      "ending: where the most likely token would end the answer; yoked: as often and as far apart "
      "as another sampler's to the same question, but elsewhere; an experiment writes it as "
      "`NAME: {yoked_to: OTHER}`");
  if (gate == "entropy") return ControlGate::kEntropy;
  if (gate == "max_probability") return ControlGate::kMaxProbability;
  if (gate == "ending") return ControlGate::kEnding;
  if (gate == "yoked") return ControlGate::kYoked;
  return gate == "random" ? ControlGate::kRandom : ControlGate::kStates;
}

constexpr Pace kAnyPace{
    .first_after = 0, .cooldown = 0, .max_per_answer = std::numeric_limits<int64_t>::max()};

}  // namespace

bool is_intervention(ActionKind action) {
  return action == ActionKind::kThink || action == ActionKind::kBranch ||
         action == ActionKind::kRetrieve || action == ActionKind::kAsk ||
         action == ActionKind::kRewind;
}

QuadrantConfig::QuadrantConfig(ParamReader& params, const SamplerContext& context)
    : entropy(read_axis(params, "entropy", 2.0, "nats")),
      varentropy(read_axis(params, "varentropy", 2.4, "nats^2")) {
  constexpr std::pair<State, const char*> kDefaults[] = {
      {State::kLowLow, "argmax"},   {State::kLowHigh, "chain"}, {State::kHighLow, "think"},
      {State::kHighHigh, "hotter"}, {State::kBetween, "chain"}, {State::kReflecting, "chain"}};
  for (const auto& [state, action] : kDefaults)
    rules[static_cast<size_t>(state)] = read_rule(params, state, action);
  fork = read_fork_predicate(params);
  think = read_think(params, context.tokenizer);
  branch = read_branch_rule(params);
  ask = read_ask_rule(params);
  retrieve = read_retrieve_rule(params);
  rewind = read_rewind_rule(params);
  gate = read_gate(params);
  intervention = action_of(params.choice("intervention", "think",
                                         {"think", "branch", "ask", "retrieve", "rewind"},
                                         "what a control gate does when it fires"));
  max_probability_cut =
      params.number("max_probability_cut", 0.3, {.min = 0, .max = 1}, "",
                    "gate max_probability: an intervention is due while p1 is below this");
  random_rate = params
                    .optional_number("random_rate", {.min = 0, .max = 1}, "per token",
                                     "gate random: chance of an intervention at a token where one "
                                     "is allowed; measure it with gate states as interventions / "
                                     "tokens neither reflecting nor in `cooldown`")
                    .value_or(0);
  if (gate == ControlGate::kRandom && !params.has("random_rate"))
    throw params.error("gate", "random needs random_rate");
  if (gate == ControlGate::kYoked) leave_pace_to_schedule(params);
  layers = params.integers("layers", {}, {.min = 0, .max = 1e6}, "",
                           "layers whose attention is averaged; empty: all");
}

void QuadrantConfig::leave_pace_to_schedule(const ParamReader& params) {
  const auto rewinds = [](const StateRule& rule) { return rule.action == ActionKind::kRewind; };
  if (intervention == ActionKind::kRewind || std::ranges::any_of(rules, rewinds))
    throw params.error("gate", "yoked: what a rewind takes back leaves no place in the answer");
  think.first_after = think.cooldown = 0;
  think.max_per_answer = kAnyPace.max_per_answer;
  branch.pace = ask.pace = retrieve.pace = kAnyPace;
}

}  // namespace surprisal
