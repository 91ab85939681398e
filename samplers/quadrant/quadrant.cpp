#include "samplers/quadrant/quadrant.h"

#include <algorithm>

#include "lib/unicode.h"
#include "samplers/greedy.h"
#include "samplers/margin.h"
#include "samplers/quadrant/reflection.h"
#include "samplers/quadrant/schedule.h"

namespace surprisal {

class Quadrant::Memory : public SamplerState {
 public:
  Memory(Reflection reflection_in, Turns branches_in, Turns questions_in, Turns look_ups_in,
         Turns rewinds_in, std::unique_ptr<SamplerState> base_in,
         std::unique_ptr<SamplerState> hotter_in)
      : reflection(reflection_in),
        branches(branches_in),
        questions(questions_in),
        look_ups(look_ups_in),
        rewinds(rewinds_in),
        base(std::move(base_in)),
        hotter(std::move(hotter_in)) {}

  std::unique_ptr<SamplerState> clone() const override {
    auto copy = std::make_unique<Memory>(reflection, branches, questions, look_ups, rewinds,
                                         base->clone(), hotter->clone());
    copy->schedule = schedule;
    return copy;
  }

  Reflection reflection;
  Turns branches, questions, look_ups, rewinds;
  ScheduleProgress schedule;
  std::unique_ptr<SamplerState> base, hotter;  ///< of the two chains
};

struct Quadrant::Signals {
  AttentionMeans attention;
  double max_probability;
  bool fork;
};

namespace {

std::unique_ptr<Chain> read_chain(ParamReader& params, const std::string& name,
                                  const std::string& description, const std::string& default_steps,
                                  const SamplerContext& context) {
  std::unique_ptr<Chain> chain;
  params.map(name, description, [&](ParamReader& map) {
    chain = std::make_unique<Chain>(map, context, default_steps);
  });
  return chain;
}

}  // namespace

Quadrant::Quadrant(ParamReader& params, const SamplerContext& context)
    : config_(params, context),
      base_(read_chain(params, "base", "the chain of action `chain`",
                       "[{temperature: 0.7}, {min_p: 0.1}]", context)),
      hotter_(read_chain(params, "hotter", "the chain of action `hotter`",
                         "[{temperature: 1.2}, {min_p: 0.1}]", context)),
      tokenizer_(context.tokenizer),
      stop_tokens_(context.stop_tokens),
      reads_attention_(config_.think.reads_attention() ||
                       std::any_of(config_.rules.begin(), config_.rules.end(),
                                   [](const StateRule& rule) { return rule.reads_attention(); })) {
  if (config_.branch.rollout_base) config_.branch.plan.rollout = base_.get();
}

Needs Quadrant::needs() const {
  const bool by_states = config_.gate == ControlGate::kStates;
  const bool looks_up = by_states ? !config_.retrieve.when_text.empty() ||
                                        std::ranges::count(config_.rules, ActionKind::kRetrieve,
                                                           &StateRule::action) > 0
                                  : config_.intervention == ActionKind::kRetrieve;
  return {.attention = reads_attention_,
          .schedule = config_.gate == ControlGate::kYoked,
          .retriever = looks_up};
}

std::unique_ptr<SamplerState> Quadrant::start() const {
  return std::make_unique<Memory>(Reflection(config_.think), Turns(config_.branch.pace),
                                  Turns(config_.ask.pace), Turns(config_.retrieve.pace),
                                  Turns(config_.rewind.pace), base_->start(), hotter_->start());
}

State Quadrant::classify(const DistributionStatistics& statistics) const {
  const AxisCut &h = config_.entropy, &v = config_.varentropy;
  const double entropy = statistics.entropy, varentropy = statistics.varentropy;
  if (h.is_low(entropy) && v.is_low(varentropy)) return State::kLowLow;
  if (h.is_low(entropy) && v.is_high(varentropy)) return State::kLowHigh;
  if (h.is_high(entropy) && v.is_low(varentropy)) return State::kHighLow;
  if (h.is_high(entropy) && v.is_high(varentropy)) return State::kHighHigh;
  return State::kBetween;
}

Quadrant::Signals Quadrant::signals(const StepView& view) const {
  Signals signals{};
  if (reads_attention_) {
    if (view.attention == nullptr)
      throw Error(ErrorCode::kUnsupported,
                  "quadrant: a gate reads attention, and there are no attention statistics here");
    signals.attention = attention_means(*view.attention, config_.layers);
  }
  signals.max_probability = view.statistics->max_probability;
  signals.fork = config_.fork.holds(view);
  return signals;
}

bool Quadrant::passes(const StateRule& rule, const Signals& signals) {
  return rule.attention_entropy.holds(signals.attention.entropy) &&
         rule.agreement.holds(signals.attention.agreement) &&
         rule.max_probability.holds(signals.max_probability) &&
         (!rule.fork || *rule.fork == signals.fork);
}

bool Quadrant::is_calm(const DistributionStatistics& statistics, const Signals& signals) const {
  const ThinkRule& until = config_.think;
  return until.entropy.holds(statistics.entropy) && until.varentropy.holds(statistics.varentropy) &&
         until.max_probability.holds(statistics.max_probability) &&
         until.attention_entropy.holds(signals.attention.entropy) &&
         until.agreement.holds(signals.attention.agreement);
}

std::optional<ActionKind> Quadrant::due(const StepView& view, ActionKind action, Memory& memory,
                                        const Draws& draws) const {
  if (config_.gate == ControlGate::kYoked) {
    if (view.schedule == nullptr)
      throw Error(ErrorCode::kUnsupported,
                  "quadrant: gate yoked needs a schedule, which an experiment makes of another "
                  "sampler's answers (NAME: {yoked_to: OTHER})");
    return memory.schedule.take(*view.schedule, std::ssize(view.generated()));
  }
  if (memory.reflection.is_active()) return std::nullopt;
  const auto intervene_if = [&](bool fires) {
    return fires ? std::optional(config_.intervention) : std::nullopt;
  };
  switch (config_.gate) {
    case ControlGate::kEntropy:
      return intervene_if(config_.entropy.is_high(view.statistics->entropy));
    case ControlGate::kMaxProbability:
      return intervene_if(view.statistics->max_probability < config_.max_probability_cut);
    case ControlGate::kRandom:
      return intervene_if(draws.uniform(kGateDraw) < config_.random_rate);
    case ControlGate::kEnding:
      return intervene_if(std::ranges::count(stop_tokens_, view.top(1).front().index) > 0);
    default:
      return is_intervention(action) ? std::optional(action) : std::nullopt;
  }
}

std::vector<std::string> Quadrant::options(const StepView& view) const {
  std::vector<std::string> texts;
  if (tokenizer_ == nullptr) return texts;
  for (const auto& [token, logit] : view.top(static_cast<size_t>(config_.ask.options)))
    if (std::string text = tokenizer_->decode({&token, 1}); is_valid_utf8(text) && !text.empty())
      texts.push_back(std::move(text));
  return texts;
}

bool Quadrant::ends_with_trigger(const StepView& view) const {
  const std::string& trigger = config_.retrieve.when_text;
  if (trigger.empty() || tokenizer_ == nullptr) return false;
  // A token spells a byte at least.
  const auto answer = view.generated();
  return tokenizer_->decode(answer.last(std::min(answer.size(), trigger.size())))
      .ends_with(trigger);
}

bool Quadrant::is_affordable(ActionKind kind, const StepView& view) {
  if (kind == ActionKind::kBranch) return view.may_branch;
  return kind == ActionKind::kRewind ? view.may_rewind : view.may_inject;
}

std::optional<Action> Quadrant::intervention(ActionKind kind, const StepView& view,
                                             const Memory& memory) const {
  if (!is_affordable(kind, view)) return std::nullopt;
  switch (kind) {
    case ActionKind::kThink:
      if (!memory.reflection.may_insert(config_.think, view.remaining_tokens)) return std::nullopt;
      return Inject{config_.think.tokens, config_.think.text};
    case ActionKind::kBranch: {
      if (!memory.branches.may_happen(config_.branch.pace)) return std::nullopt;
      std::vector<TokenId> candidates = config_.branch.choose(view, config_.fork);
      if (candidates.size() < 2) return std::nullopt;
      return Branch{std::move(candidates), config_.branch.plan};
    }
    case ActionKind::kAsk: {
      if (!memory.questions.may_happen(config_.ask.pace)) return std::nullopt;
      std::vector<std::string> offered = options(view);
      if (offered.size() < 2) return std::nullopt;
      return AskUser{config_.ask.question, std::move(offered)};
    }
    case ActionKind::kRetrieve: {
      if (tokenizer_ == nullptr || !memory.look_ups.may_happen(config_.retrieve.pace))
        return std::nullopt;
      const size_t length =
          std::min(view.tokens.size(), static_cast<size_t>(config_.retrieve.query_tokens));
      return Retrieve{tokenizer_->decode(view.tokens.last(length))};
    }
    case ActionKind::kRewind: {
      const auto taken = static_cast<int64_t>(view.generated().size());
      if (taken == 0 || !memory.rewinds.may_happen(config_.rewind.pace)) return std::nullopt;
      return Rewind{std::min(taken, config_.rewind.tokens), config_.rewind.ban};
    }
    default:
      throw Error(ErrorCode::kInternal, "quadrant: not an intervention");
  }
}

Decision Quadrant::intervene(Action action, ActionKind kind, Memory& memory) const {
  if (kind == ActionKind::kThink) memory.reflection.begin();
  if (kind == ActionKind::kBranch) memory.branches.happen(config_.branch.pace);
  if (kind == ActionKind::kRetrieve) memory.look_ups.happen(config_.retrieve.pace);
  if (kind == ActionKind::kAsk) memory.questions.happen(config_.ask.pace);
  if (kind == ActionKind::kRewind) memory.rewinds.happen(config_.rewind.pace);
  Decision decision;
  decision.action = std::move(action);
  return decision;
}

Decision Quadrant::decide(const StepView& view, SamplerState* state, const Draws& draws) const {
  auto& memory = static_cast<Memory&>(*state);
  const Signals seen = signals(view);
  const bool reflecting = memory.reflection.is_active();
  const State now = reflecting ? State::kReflecting : classify(*view.statistics);
  const StateRule& rule = config_.rules[static_cast<size_t>(now)];

  ActionKind action = rule.action;
  Gate gate = Gate::kNone;
  if (rule.has_gate()) {
    gate = passes(rule, seen) ? Gate::kPassed : Gate::kFailed;
    if (gate == Gate::kFailed) action = rule.otherwise;
  }
  if (config_.gate == ControlGate::kStates && ends_with_trigger(view))
    action = ActionKind::kRetrieve;
  std::optional<Action> intervening;
  if (const std::optional<ActionKind> kind = due(view, action, memory, draws)) {
    intervening = intervention(*kind, view, memory);
    if (!intervening) {
      gate = is_affordable(*kind, view) ? Gate::kCooldown : Gate::kBudget;
    } else if (config_.gate != ControlGate::kStates) {
      const bool by_lot =
          config_.gate == ControlGate::kRandom || config_.gate == ControlGate::kYoked;
      gate = by_lot ? Gate::kRandom : Gate::kPassed;
      action = *kind;
    }
  }
  // Not allowed, or the states want one and the control does not.
  if (is_intervention(action) && !intervening) action = rule.otherwise;

  memory.reflection.step(config_.think, is_calm(*view.statistics, seen));
  Decision decision = intervening ? intervene(std::move(*intervening), action, memory)
                                  : choose_token(action, view, memory, draws);
  decision.state = now;
  decision.gate = gate;
  decision.kind = action;
  decision.decision_entropy = view.statistics->entropy;
  decision.decision_varentropy = view.statistics->varentropy;
  decision.threshold_margin =
      nearest_to_zero({view.statistics->entropy - config_.entropy.low,
                       view.statistics->entropy - config_.entropy.high,
                       view.statistics->varentropy - config_.varentropy.low,
                       view.statistics->varentropy - config_.varentropy.high});
  decision.metrics = {{"fork", seen.fork ? 1 : 0}};
  if (reads_attention_) {
    decision.metrics.emplace_back("attention_entropy", seen.attention.entropy);
    decision.metrics.emplace_back("agreement", seen.attention.agreement);
  }
  return decision;
}

Decision Quadrant::choose_token(ActionKind action, const StepView& view, Memory& memory,
                                const Draws& draws) const {
  switch (action) {
    case ActionKind::kArgmax:
      return argmax_decision(view);
    case ActionKind::kHotter:
      return hotter_->decide(view, memory.hotter.get(), draws);
    default:
      return base_->decide(view, memory.base.get(), draws);
  }
}

void Quadrant::observe(TokenId token, TokenSource source, SamplerState* state) const {
  auto& memory = static_cast<Memory&>(*state);
  memory.branches.step();
  memory.questions.step();
  memory.look_ups.step();
  memory.rewinds.step();
  base_->observe(token, source, memory.base.get());
  hotter_->observe(token, source, memory.hotter.get());
}

void Quadrant::carry_ledger(const SamplerState* latest, SamplerState* restored) const {
  const auto& from = static_cast<const Memory&>(*latest);
  auto& into = static_cast<Memory&>(*restored);
  into.reflection.keep_ledger(from.reflection);
  into.branches.keep_ledger(from.branches);
  into.questions.keep_ledger(from.questions);
  into.look_ups.keep_ledger(from.look_ups);
  into.rewinds.keep_ledger(from.rewinds);
}

Sampler::Base Quadrant::base(const SamplerState* state) const {
  return {base_.get(), static_cast<const Memory&>(*state).base->clone()};
}

SamplerEntry Quadrant::entry() {
  return {"four states of entropy and varentropy, one action each (the idea under study)",
          [](ParamReader& params, const SamplerContext& context) {
            return std::make_unique<Quadrant>(params, context);
          }};
}

}  // namespace surprisal
