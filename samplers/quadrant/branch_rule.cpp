#include "samplers/quadrant/branch_rule.h"

#include <cmath>

namespace surprisal {
namespace {

constexpr double kMaxCount = 1e9;

BranchPlan read_plan(ParamReader& map) {
  const auto names = [](const auto& table) {
    return std::vector<std::string>(std::begin(table), std::end(table));
  };
  const auto index = [](const std::vector<std::string>& table, const std::string& name) {
    return std::find(table.begin(), table.end(), name) - table.begin();
  };
  const std::vector<std::string> stops = names(kStopAtNames), scores = names(kCompareNames);
  BranchPlan plan;
  plan.horizon = map.integer("horizon", 24, {.min = 1, .max = 1e6}, "tokens",
                             "longest branch of a round, the fork token included");
  plan.rounds = map.integer("rounds", 1, {.min = 1, .max = 1e6}, "rounds",
                            "after each but the last, the best branches part again into as many of "
                            "their most likely tokens as there were candidates");
  plan.keep = map.integer("keep", 1, {.min = 1, .max = 64}, "branches",
                          "that part again after a round (a beam); in the end the best one stays");
  if (plan.keep > 1 && plan.rounds == 1)
    throw map.error("keep", "a beam needs further rounds to live in: give rounds > 1, too");
  plan.stop_at = static_cast<BranchPlan::StopAt>(
      index(stops, map.choice("stop_at", "sentence", stops, "what ends a branch sooner")));
  plan.low_entropy =
      map.number("low_entropy", 0.5, {.min = 0}, "nats", "stop_at low_entropy: below this");
  plan.compare = static_cast<BranchPlan::Compare>(
      index(scores, map.choice("compare", "mean_logprob", scores,
                               "score of a branch, a mean over equal lengths; of mean_entropy and "
                               "mean_varentropy the lowest is best")));
  constexpr Range kWeight{.min = -1e6, .max = 1e6};
  plan.weight_logprob = map.number("weight_logprob", 1, kWeight, "", "compare weighted");
  plan.weight_entropy =
      map.number("weight_entropy", 0, kWeight, "", "compare weighted; counts against a branch");
  plan.weight_varentropy =
      map.number("weight_varentropy", 0, kWeight, "", "compare weighted; counts against a branch");
  plan.margin = map.number("margin", 0.05, {.min = 0}, "nats per token",
                           "branches within this of the best tie; a tie of different content asks");
  plan.different_from =
      map.number("different_from", 0.5, {.min = 0, .max = 1}, "",
                 "normalised edit distance from which tied texts without answers differ");
  return plan;
}

}  // namespace

Pace read_pace(ParamReader& params, int64_t default_cooldown, int64_t default_max) {
  constexpr Range kCount{.min = 0, .max = kMaxCount};
  Pace pace{};
  pace.first_after = params.integer("first_after", 0, kCount, "tokens",
                                    "tokens of the answer before the first time");
  pace.cooldown =
      params.integer("cooldown", default_cooldown, kCount, "tokens", "from one time to the next");
  pace.max_per_answer = params.integer("max_per_answer", default_max, kCount, "times", "at most");
  return pace;
}

BranchRule read_branch_rule(ParamReader& params) {
  BranchRule rule{};
  params.map("branch", "following several tokens and keeping the best", [&](ParamReader& map) {
    const std::string candidates =
        map.choice("candidates", "width", {"width", "nucleus", "fork"},
                   "which tokens are followed: the `width` most likely, a nucleus of at most "
                   "`width`, or the alternatives of the fork predicate");
    rule.candidates = candidates == "width"     ? BranchRule::Candidates::kWidth
                      : candidates == "nucleus" ? BranchRule::Candidates::kNucleus
                                                : BranchRule::Candidates::kFork;
    rule.width = map.integer("width", 2, {.min = 2, .max = 64}, "branches", "at most");
    rule.nucleus = map.number("nucleus", 0.9, {.min = 0, .max = 1, .min_exclusive = true}, "",
                              "candidates nucleus: the mass to be covered");
    rule.rollout_base = map.choice("rollout", "greedy", {"greedy", "base"},
                                   "how a branch goes on: greedily or by the base chain") == "base";
    rule.plan = read_plan(map);
    rule.pace = read_pace(map, 16, 8);
  });
  return rule;
}

AskRule read_ask_rule(ParamReader& params) {
  AskRule rule{};
  params.map("ask", "asking the user which token comes next", [&](ParamReader& map) {
    rule.question = map.string("question", "The model hesitates. How should it go on?",
                               "what is asked; the most likely tokens are the options");
    rule.options = map.integer("options", 3, {.min = 2, .max = 20}, "tokens", "offered at most");
    rule.pace = read_pace(map, 64, 1);
  });
  return rule;
}

RetrieveRule read_retrieve_rule(ParamReader& params) {
  RetrieveRule rule{};
  params.map("retrieve", "looking something up", [&](ParamReader& map) {
    rule.query_tokens = map.integer("query_tokens", 64, {.min = 1, .max = 1e6}, "tokens",
                                    "the last ones of the context are the query");
    rule.when_text = map.string("when_text", "",
                                "due in any state where the answer ends with this text (\"=\" for "
                                "a calculator); empty: only where a state says so");
    rule.pace = read_pace(map, 32, 4);
    if (rule.pace.cooldown < 1)
      throw map.error("cooldown",
                      "must be at least 1: what is not found would be looked up forever");
  });
  return rule;
}

RewindRule read_rewind_rule(ParamReader& params) {
  RewindRule rule{};
  params.map("rewind", "taking tokens back and going on differently", [&](ParamReader& map) {
    rule.tokens = map.integer("tokens", 4, {.min = 1, .max = 1e6}, "tokens",
                              "taken back, injected ones too; fewer at the answer's beginning");
    rule.ban = map.boolean("ban", true,
                           "the token that stood first there is not chosen there again, also not "
                           "after further rewinds");
    rule.pace = read_pace(map, 16, 4);
  });
  return rule;
}

std::vector<TokenId> BranchRule::choose(const StepView& view, const ForkPredicate& fork) const {
  std::vector<TokenId> tokens;
  if (candidates == Candidates::kFork) {
    tokens = fork.alternatives(view);
    if (tokens.size() > static_cast<size_t>(width)) tokens.resize(static_cast<size_t>(width));
    return tokens;
  }
  double covered = 0;
  for (const auto& [index, logit] : view.top(static_cast<size_t>(width))) {
    if (candidates == Candidates::kNucleus && tokens.size() >= 2 && covered >= nucleus) break;
    tokens.push_back(index);
    covered += std::exp(logit - view.statistics->log_sum_exp);
  }
  return tokens;
}

}  // namespace surprisal
