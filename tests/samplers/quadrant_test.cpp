#include "samplers/quadrant/quadrant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "samplers/quadrant/config.h"
#include "samplers/quadrant/schedule.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;

/// One token far above the rest: low entropy, low varentropy.
std::vector<float> peak() {
  std::vector<float> logits(64, 0.0F);
  logits[7] = 20;
  return logits;
}
/// All alike: entropy ln 64 = 4.16, varentropy 0.
std::vector<float> flat() {
  return std::vector<float>(64, 1.0F);
}
/// Two equal peaks above nothing: entropy ln 2.
std::vector<float> fork() {
  std::vector<float> logits(64, 0.0F);
  logits[3] = logits[9] = 20;
  return logits;
}
/// One peak of half the mass over a flat rest: middling entropy, large varentropy.
std::vector<float> wild() {
  std::vector<float> logits(64, 0.0F);
  logits[5] = std::log(63.0F);
  return logits;
}

/// A sampler and the state of one answer.
struct Answer {
  explicit Answer(const std::string& yaml, const SamplerContext& context = {})
      : sampler(test::sampler_of("{type: quadrant, " + yaml + "}", context)),
        state(sampler->start()) {}

  Decision step(const std::vector<float>& logits, uint64_t seed = 1) {
    test::Row row(logits);
    row.attend(static_cast<unsigned>(position));
    row.view.remaining_tokens = remaining;
    return sampler->decide(row.view, state.get(), Draws(seed, position++));
  }

  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<SamplerState> state;
  uint32_t position = 0;
  int64_t remaining = 1000;
};

TEST(Quadrant, FourStatesByTwoCuts) {
  Answer answer("entropy_cut: 2, varentropy_cut: 1, high_low: chain");
  EXPECT_EQ(answer.step(peak()).state, State::kLowLow);
  EXPECT_EQ(answer.step(flat()).state, State::kHighLow);
  EXPECT_EQ(answer.step(wild()).state, State::kHighHigh);
  Answer coarse("entropy_cut: 4, varentropy_cut: 1, high_low: chain");
  EXPECT_EQ(coarse.step(wild()).state, State::kLowHigh);
  EXPECT_EQ(coarse.step(fork()).state, State::kLowLow);  // two equal peaks have no varentropy
}

TEST(Quadrant, DeadBandLeavesAFifthState) {
  const std::string rules = "high_low: chain, between: {action: argmax}";
  Answer answer("entropy_low: 0.1, entropy_high: 4, " + rules);
  EXPECT_EQ(answer.step(peak()).state, State::kLowLow);
  EXPECT_EQ(answer.step(flat()).state, State::kHighLow);
  const Decision between = answer.step(fork());
  EXPECT_EQ(between.state, State::kBetween);
  EXPECT_EQ(between.kind, ActionKind::kArgmax);
  EXPECT_NEAR(between.threshold_margin, std::log(2) - 0.1, 1e-5);  // the rest has some mass
}

TEST(Quadrant, DefaultActions) {
  Answer answer("varentropy_cut: 1");
  EXPECT_EQ(answer.step(peak()).kind, ActionKind::kArgmax);
  EXPECT_EQ(answer.step(wild()).kind, ActionKind::kHotter);
  const Decision thought = answer.step(flat());
  EXPECT_EQ(thought.kind, ActionKind::kThink);
  ASSERT_TRUE(std::holds_alternative<Inject>(thought.action));
  EXPECT_EQ(std::get<Inject>(thought.action).text, " Wait,");
  Answer coarse("entropy_cut: 4, varentropy_cut: 1");
  EXPECT_EQ(coarse.step(wild()).kind, ActionKind::kChain);
}

TEST(Quadrant, ReflectionLastsUntilConfidenceIsBack) {
  Answer answer("think: {calm_entropy: 1, calm_tokens: 2, cap: 10, cooldown: 3}");
  EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
  // A second insertion never happens while it lasts; a calm token must be followed by another.
  for (const auto& logits : {flat(), peak(), flat(), peak(), peak()}) {
    const Decision decision = answer.step(logits);
    EXPECT_EQ(decision.state, State::kReflecting);
    EXPECT_EQ(decision.kind, ActionKind::kChain);
  }
  for (int token = 0; token < 3; ++token) {  // cooldown
    const Decision decision = answer.step(flat());
    EXPECT_EQ(decision.state, State::kHighLow);
    EXPECT_EQ(decision.gate, Gate::kCooldown);
    EXPECT_EQ(decision.kind, ActionKind::kChain);
  }
  EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
}

TEST(Quadrant, ReflectionLastsUntilAnyStatisticSaysSo) {
  const auto length_of = [](const std::string& until) {
    Answer answer("think: {" + until + ", calm_tokens: 1, cap: 10, cooldown: 0}");
    EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
    int length = 0;
    for (const auto& logits : {flat(), wild(), fork(), peak()}) {
      if (answer.step(logits).state != State::kReflecting) break;
      ++length;
    }
    return length;
  };
  EXPECT_EQ(length_of("calm_entropy: 1"), 3);                       // the fork
  EXPECT_EQ(length_of("until: {max_probability_above: 0.49}"), 2);  // the wild row's peak
  EXPECT_EQ(length_of("until: {max_probability_above: 0.9}"), 4);   // only the peak
  EXPECT_EQ(length_of("until: {varentropy_above: 1}"), 2);
  EXPECT_EQ(length_of("until: {entropy_below: 1, varentropy_below: 1}"), 3) << "both";
  EXPECT_EQ(length_of("until: {agreement_above: 0}"), 1) << "an attention signal";
  EXPECT_TRUE(Answer("think: {until: {agreement_above: 0.5}}").sampler->needs().attention);
  EXPECT_THROW(Answer("think: {until: {entropy_below: 1}, calm_entropy: 1}"), Error);
}

TEST(Quadrant, RewindsWhereAStateSaysSo) {
  Answer answer("high_low: rewind, rewind: {tokens: 3, cooldown: 2, max_per_answer: 2}");
  const auto step = [&](const std::vector<float>& logits, size_t taken) {
    test::Row row(logits, std::vector<TokenId>(taken, 1));
    return answer.sampler->decide(row.view, answer.state.get(), Draws(1, 0));
  };
  EXPECT_EQ(step(flat(), 0).kind, ActionKind::kChain) << "nothing to take back";
  const Decision decision = step(flat(), 5);
  ASSERT_TRUE(std::holds_alternative<Rewind>(decision.action));
  EXPECT_EQ(std::get<Rewind>(decision.action).count, 3);
  EXPECT_TRUE(std::get<Rewind>(decision.action).ban);
  EXPECT_EQ(step(flat(), 5).gate, Gate::kCooldown);
  for (int token = 0; token < 2; ++token)
    answer.sampler->observe(1, TokenSource::kSampled, answer.state.get());
  EXPECT_EQ(std::get<Rewind>(step(flat(), 2).action).count, 2) << "to the beginning";
  for (int token = 0; token < 9; ++token)
    answer.sampler->observe(1, TokenSource::kSampled, answer.state.get());
  EXPECT_EQ(step(flat(), 5).kind, ActionKind::kChain) << "no more than asked for";
  // What was spent stays spent in a state from before.
  auto earlier = answer.sampler->start();
  answer.sampler->carry_ledger(answer.state.get(), earlier.get());
  answer.state = std::move(earlier);
  EXPECT_EQ(step(flat(), 5).kind, ActionKind::kChain);
}

TEST(Quadrant, ReflectionEndsAtItsCap) {
  Answer answer("think: {cap: 4, cooldown: 0}");
  EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
  for (int token = 0; token < 4; ++token) EXPECT_EQ(answer.step(flat()).state, State::kReflecting);
  EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
}

TEST(Quadrant, InsertionsAreLimited) {
  Answer capped("think: {cap: 1, cooldown: 0, max_per_answer: 2}");
  int thoughts = 0;
  for (int token = 0; token < 20; ++token)
    thoughts += capped.step(flat()).kind == ActionKind::kThink;
  EXPECT_EQ(thoughts, 2);
  Answer late("think: {first_after: 5}");
  for (int token = 0; token < 5; ++token) EXPECT_EQ(late.step(flat()).gate, Gate::kCooldown);
  EXPECT_EQ(late.step(flat()).kind, ActionKind::kThink);
  Answer no_room("high_low: think");
  no_room.remaining = 0;
  EXPECT_EQ(no_room.step(flat()).gate, Gate::kCooldown);
}

TEST(Quadrant, RewindKeepsTheLedger) {
  Answer answer("think: {cap: 1, cooldown: 4, max_per_answer: 1}");
  const auto before = answer.state->clone();
  EXPECT_EQ(answer.step(flat()).kind, ActionKind::kThink);
  auto restored = before->clone();
  answer.sampler->carry_ledger(answer.state.get(), restored.get());
  answer.state = std::move(restored);
  EXPECT_EQ(answer.step(flat()).gate, Gate::kCooldown);  // its one insertion stays spent
}

TEST(Quadrant, GatesFallBack) {
  Answer fails("low_low: {action: argmax, max_probability_above: 0.9, otherwise: hotter}");
  EXPECT_EQ(fails.step(peak()).gate, Gate::kPassed);
  const Decision decision = fails.step(fork());
  EXPECT_EQ(decision.state, State::kLowLow);
  EXPECT_EQ(decision.gate, Gate::kFailed);
  EXPECT_EQ(decision.kind, ActionKind::kHotter);

  Answer forks("low_low: {action: argmax, fork: no}");
  EXPECT_EQ(forks.step(peak()).kind, ActionKind::kArgmax);
  EXPECT_EQ(forks.step(fork()).kind, ActionKind::kChain);

  Answer attention("low_low: {action: argmax, attention_entropy_below: 0.01}, layers: [1]");
  EXPECT_TRUE(attention.sampler->needs().attention);
  const Decision spread = attention.step(peak());
  EXPECT_EQ(spread.kind, ActionKind::kChain);
  EXPECT_GT(spread.metrics[1].second, 0.01);
  EXPECT_FALSE(Answer("entropy_cut: 1").sampler->needs().attention);
}

TEST(Quadrant, ForkPredicate) {
  const ForkPredicate fork_of{4, 0.25, 0.8};
  const auto holds = [&](const std::vector<float>& probs) {
    std::vector<float> logits;
    for (const float p : probs) logits.push_back(std::log(p));
    return fork_of.holds(test::Row(logits).view);
  };
  EXPECT_TRUE(holds({.5F, .5F}));
  EXPECT_TRUE(holds({.05F, .4F, .05F, .5F}));
  EXPECT_FALSE(holds({.8F, .1F, .1F}));            // one winner
  EXPECT_FALSE(holds({.2F, .2F, .2F, .2F, .2F}));  // five are no fork
  EXPECT_FALSE(holds({.3F, .3F, .05F, .05F, .05F, .05F, .05F, .05F, .05F, .05F}));  // mass .6
  EXPECT_FALSE(holds({1.0F}));
}

TEST(Quadrant, ControlsDecideWhenAThoughtComes) {
  const std::string quick = "think: {cap: 1, cooldown: 0, max_per_answer: 100000}";
  // Entropy alone: a spread row with large varentropy gets a thought too.
  Answer entropy("gate: entropy, entropy_cut: 2, varentropy_cut: 1, " + quick);
  EXPECT_EQ(entropy.step(wild()).kind, ActionKind::kThink);
  EXPECT_EQ(entropy.step(peak()).state, State::kReflecting);
  EXPECT_EQ(entropy.step(peak()).kind, ActionKind::kArgmax);

  Answer maximum("gate: max_probability, max_probability_cut: 0.6, " + quick);
  EXPECT_EQ(maximum.step(fork()).kind, ActionKind::kThink);
  maximum.step(peak());
  EXPECT_EQ(maximum.step(peak()).kind, ActionKind::kArgmax);

  // At the end of the text only: wild()'s most likely token, 5, ends an answer here.
  Answer ending("gate: ending, varentropy_cut: 1, " + quick, {.stop_tokens = {5}});
  EXPECT_NE(ending.step(flat()).kind, ActionKind::kThink);
  EXPECT_EQ(ending.step(wild()).kind, ActionKind::kThink);
}

// The random control fires at its rate wherever it may, whatever the row; 5 standard deviations of
// a binomial count make a false alarm about 6e-7.
TEST(Quadrant, RandomControlKeepsItsRate) {
  Answer answer(
      "gate: random, random_rate: 0.1, think: {cap: 1, cooldown: 0, max_per_answer: 100000}");
  int fired = 0, eligible = 0;
  for (int token = 0; token < 20'000; ++token) {
    const Decision decision = answer.step(token % 2 ? flat() : peak());
    if (decision.state == State::kReflecting) continue;
    ++eligible;
    fired += decision.kind == ActionKind::kThink;
    EXPECT_EQ(decision.gate, decision.kind == ActionKind::kThink ? Gate::kRandom : Gate::kNone);
  }
  const double deviation = std::sqrt(eligible * 0.1 * 0.9);
  EXPECT_NEAR(fired, eligible * 0.1, 5 * deviation);
}

// What a yoked answer does at each number of its tokens, all of them drawn; peak() has no state
// that would intervene.
std::vector<ActionKind> follow(const std::string& yaml,
                               const std::vector<PlannedIntervention>& schedule, int64_t tokens,
                               const std::function<void(StepView&)>& limit = {}) {
  const auto sampler = test::sampler_of("{type: quadrant, gate: yoked, " + yaml + "}");
  EXPECT_TRUE(sampler->needs().schedule);
  auto state = sampler->start();
  std::vector<ActionKind> kinds;
  for (int64_t taken = 0; taken < tokens; ++taken) {
    test::Row row(fork(), std::vector<TokenId>(static_cast<size_t>(taken) + 2, 1));
    row.view.prompt_length = 2;
    row.view.schedule = &schedule;
    if (limit) limit(row.view);
    state = state->clone();  // as a snapshot would
    const Decision decision = sampler->decide(row.view, state.get(), Draws(1, 0));
    EXPECT_EQ(decision.gate == Gate::kRandom, is_intervention(decision.kind));
    kinds.push_back(decision.kind);
  }
  return kinds;
}

TEST(Quadrant, AYokedControlFollowsItsSchedule) {
  using enum ActionKind;
  // The pace of the sampler it is yoked to has done its work: cooldown, reflection and number do
  // not stand in the way a second time.
  const std::string slow = "think: {cooldown: 100, max_per_answer: 1, first_after: 9}";
  EXPECT_EQ(follow(slow, {{1, kThink}, {3, kThink}, {1, kBranch}}, 7),
            (std::vector<ActionKind>{kArgmax, kThink, kChain, kChain, kThink, kBranch, kChain}));
  EXPECT_EQ(follow(slow, {}, 2), (std::vector<ActionKind>{kArgmax, kArgmax}));
}

TEST(Quadrant, WhatAYokedControlMayNotDoIsLeftOutAndNotMoved) {
  using enum ActionKind;
  const auto broke_at_two = [](StepView& view) { view.may_inject = view.generated().size() != 2; };
  EXPECT_EQ(follow("think: {cap: 1}", {{2, kThink}, {2, kThink}}, 6, broke_at_two),
            (std::vector<ActionKind>{kArgmax, kArgmax, kArgmax, kArgmax, kThink, kChain}));
}

TEST(Quadrant, APlaceThatWasPassedOverComesLateAndKeepsItsDistance) {
  ScheduleProgress progress;
  const std::vector<PlannedIntervention> schedule = {{2, ActionKind::kBranch},
                                                     {3, ActionKind::kThink}};
  EXPECT_FALSE(progress.take(schedule, 1));
  EXPECT_EQ(progress.take(schedule, 4), ActionKind::kBranch);
  EXPECT_FALSE(progress.take(schedule, 6));
  EXPECT_EQ(progress.take(schedule, 7), ActionKind::kThink);
  EXPECT_FALSE(progress.take(schedule, 100));
}

TEST(Quadrant, AYokedControlWithoutAScheduleIsAnError) {
  Answer answer("gate: yoked");
  EXPECT_THROW(answer.step(peak()), Error);
}

TEST(Quadrant, RefusesWhatItCannotDo) {
  const auto message = [](const std::string& yaml) {
    try {
      test::sampler_of("type: quadrant\n" + yaml);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message("low_high:\n  action: retreive"), HasSubstr("test.yaml:3"));
  EXPECT_THAT(message("retrieve: {cooldown: 0}"), HasSubstr("at least 1"));
  EXPECT_THAT(message("branch: {width: 1}"), HasSubstr("width"));
  EXPECT_THAT(message("branch: {stop_at: sentense}"), HasSubstr("sentence"));
  EXPECT_THAT(message("reflecting: think"), HasSubstr("reflecting"));
  EXPECT_THAT(message("entropy_low: 1"), HasSubstr("go together"));
  EXPECT_THAT(message("entropy_low: 2\nentropy_high: 1"), HasSubstr("below entropy_high"));
  EXPECT_THAT(message("entropy_low: 1\nentropy_high: 2\nentropy_cut: 1"), HasSubstr("either"));
  EXPECT_THAT(message("gate: random"), HasSubstr("random_rate"));
  EXPECT_THAT(message("gate: yoked\nhigh_low: rewind"), HasSubstr("rewind"));
  EXPECT_THAT(message("gate: yoked\nintervention: rewind"), HasSubstr("rewind"));
  EXPECT_THAT(message("think: {text: ''}"), HasSubstr("must not be empty"));
}

TEST(QuadrantBranch, FollowsTheMostLikelyTokens) {
  Answer answer("low_low: branch, branch: {width: 3, horizon: 5, margin: 0.2}");
  const Decision decision = answer.step(fork());
  EXPECT_EQ(decision.kind, ActionKind::kBranch);
  ASSERT_TRUE(std::holds_alternative<Branch>(decision.action));
  const auto& branch = std::get<Branch>(decision.action);
  EXPECT_EQ(branch.candidates, (std::vector<TokenId>{3, 9, 0}));
  EXPECT_EQ(branch.plan.horizon, 5);
  EXPECT_EQ(branch.plan.margin, 0.2);
  EXPECT_EQ(branch.plan.rollout, nullptr);
}

TEST(QuadrantBranch, CandidatesByNucleusAndByForkPredicate) {
  const auto candidates = [](const std::string& rule, const std::vector<float>& logits) {
    Answer answer("low_low: branch, high_low: branch, low_high: branch, high_high: branch, " +
                  rule);
    const Decision decision = answer.step(logits);
    const auto* branch = std::get_if<Branch>(&decision.action);
    return branch == nullptr ? 0 : branch->candidates.size();
  };
  // The flat row has 1/64 each: 0.5 of the mass takes 32 tokens; a peak alone is padded to two.
  EXPECT_EQ(candidates("branch: {candidates: nucleus, nucleus: 0.5, width: 40}", flat()), 32u);
  EXPECT_EQ(candidates("branch: {candidates: nucleus, nucleus: 0.5, width: 40}", peak()), 2u);
  EXPECT_EQ(candidates("branch: {candidates: fork, width: 8}", fork()), 2u);
  EXPECT_EQ(candidates("branch: {candidates: fork, width: 8}", flat()), 0u);  // no fork: no branch
}

TEST(QuadrantBranch, KeepsItsPaceAndItsBudget) {
  Answer answer("low_low: branch, branch: {cooldown: 2, max_per_answer: 2, first_after: 1}");
  const auto step = [&] {
    const Decision decision = answer.step(fork());
    answer.sampler->observe(3, TokenSource::kSampled, answer.state.get());
    return decision.kind;
  };
  using enum ActionKind;
  std::vector<ActionKind> kinds;
  for (int token = 0; token < 8; ++token) kinds.push_back(step());
  EXPECT_EQ(kinds, (std::vector<ActionKind>{kChain, kBranch, kChain, kBranch, kChain, kChain,
                                            kChain, kChain}));

  Answer poor("low_low: branch");
  test::Row row(fork());
  row.view.may_branch = false;
  const Decision decision = poor.sampler->decide(row.view, poor.state.get(), Draws(1, 0));
  EXPECT_EQ(decision.kind, kChain);
  EXPECT_EQ(decision.gate, Gate::kBudget);
}

TEST(QuadrantBranch, IsWhatAControlGateCanDo) {
  Answer answer("gate: random, random_rate: 1, intervention: branch, low_low: branch");
  const Decision decision = answer.step(fork());
  EXPECT_EQ(decision.gate, Gate::kRandom);
  EXPECT_EQ(decision.kind, ActionKind::kBranch);
}

TEST(QuadrantBranch, ABudgetForInjectionsHoldsForThoughts) {
  Answer answer("high_low: think");
  test::Row row(flat());
  row.view.may_inject = false;
  const Decision decision = answer.sampler->decide(row.view, answer.state.get(), Draws(1, 0));
  EXPECT_EQ(decision.kind, ActionKind::kChain);
  EXPECT_EQ(decision.gate, Gate::kBudget);
}

}  // namespace
}  // namespace surprisal
