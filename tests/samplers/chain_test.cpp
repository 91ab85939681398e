#include "samplers/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samplers/selection.h"
#include "samplers/trial.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// float32 logits and probabilities on their way through JSON.
constexpr double kFloat32 = 2e-6;

Json trial(const Json& request) {
  return run_trial(request, builtin_samplers(), {});
}

/// Kept ids of a row given by its probabilities.
std::vector<int> kept(std::vector<double> probs, const std::string& dialect, Json steps) {
  const Json answer =
      trial({{"probs", probs},
             {"sampler", {{"type", "chain"}, {"dialect", dialect}, {"steps", std::move(steps)}}}});
  return answer["kept_ids"].get<std::vector<int>>();
}

Json step(const std::string& rule, Json value) {
  return Json::array({Json{{rule, std::move(value)}}});
}

const std::vector<double> kAscending = {.1, .2, .3, .4};

TEST(Chain, WithoutStepsIsTheSoftmax) {
  const Json answer = trial({{"probs", kAscending}, {"sampler", {{"type", "chain"}}}});
  for (size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(answer["probs"][i].get<double>(), kAscending[i], kFloat32);
}

TEST(Chain, EqualsTransformers) {
  for (const Json& one : test::read_cases("chain_hf.jsonl")) {
    const Json answer = trial(one["request"]);
    ASSERT_EQ(answer["kept_ids"], one["expected"]["kept_ids"]) << dump_line(one["request"]);
    size_t i = 0;
    for (const Json& id : answer["kept_ids"])
      ASSERT_NEAR(answer["probs"][id.get<size_t>()].get<double>(),
                  one["expected"]["probs"][i++].get<double>(), kFloat32)
          << dump_line(one["request"]);
  }
}

TEST(Chain, DialectsOfTemperature) {
  EXPECT_THAT(kept({.2, .4, .4}, "llama", step("temperature", 0)), ElementsAre(1));
  EXPECT_THAT(kept({.2, .4, .4}, "llama", step("temperature", -1)), ElementsAre(1));
  EXPECT_THROW(kept({.2, .4, .4}, "hf", step("temperature", 0)), Error);
}

TEST(Chain, DialectsOfTopK) {
  const std::vector<double> ties = {.2, .3, .2, .1, .2};
  EXPECT_THAT(kept(ties, "llama", step("top_k", 2)), ElementsAre(0, 1));
  EXPECT_THAT(kept(ties, "hf", step("top_k", 2)), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(kept(ties, "llama", step("top_k", 0)), ElementsAre(0, 1, 2, 3, 4));
}

TEST(Chain, DialectsOfMinP) {
  EXPECT_THAT(kept(kAscending, "llama", step("min_p", 1.05)), ElementsAre(3));
  EXPECT_THROW(kept(kAscending, "hf", step("min_p", 1.05)), Error);
  EXPECT_THAT(kept(kAscending, "hf", step("min_p", 0)), ElementsAre(0, 1, 2, 3));
}

TEST(Chain, TopPKeepsAtLeastOne) {
  EXPECT_THAT(kept(kAscending, "llama", step("top_p", 0)), ElementsAre(3));
  EXPECT_THAT(kept(kAscending, "hf", step("top_p", 0)), ElementsAre(3));
  EXPECT_THAT(kept(kAscending, "llama", step("top_p", Json{{"p", 0.1}, {"min_keep", 3}})),
              ElementsAre(1, 2, 3));
}

TEST(Chain, OrderMatters) {
  const std::vector<double> row = {.4, .3, .2, .1};
  const Json heat = {{"temperature", 2.0}}, min_p = {{"min_p", 0.6}};
  EXPECT_THAT(kept(row, "hf", Json::array({heat, min_p})), ElementsAre(0, 1, 2));
  EXPECT_THAT(kept(row, "hf", Json::array({min_p, heat})), ElementsAre(0, 1));
}

TEST(Chain, ResolvesEveryParameterOfEveryStep) {
  Json resolved;
  create_sampler(builtin_samplers(),
                 parse_yaml("{type: chain, steps: [{top_k: 5}, {min_p: {p: 0.2}}]}", "a.yaml"),
                 "sampler 's'", "a.yaml", {}, &resolved);
  EXPECT_EQ(
      dump_line(resolved),
      R"({"type":"chain","dialect":"hf","draw":"gumbel","steps":[{"top_k":{"k":5,"min_keep":1}},)"
      R"({"min_p":{"p":0.2,"min_keep":1}}]})");
}

TEST(Chain, MistakesAreNamedWithTheirLine) {
  const auto message = [](const std::string& yaml) {
    try {
      test::sampler_of(yaml);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(message("type: chain\nsteps:\n- temprature: 1\n"),
              AllOf(HasSubstr("test.yaml:3"), HasSubstr("'temperature'")));
  EXPECT_THAT(message("type: chain\nsteps:\n- top_k: many\n"),
              AllOf(HasSubstr("test.yaml:3"), HasSubstr("expected an integer")));
  EXPECT_THAT(message("type: chain\nsteps:\n- top_k: {k: 1, q: 2}\n"),
              AllOf(HasSubstr("test.yaml:3"), HasSubstr("unknown key 'q'")));
  EXPECT_THAT(message("type: chain\nsteps:\n- top_k: 1\n  top_p: 1\n"),
              AllOf(HasSubstr("test.yaml:3"), HasSubstr("expected one rule")));
  EXPECT_THAT(message("type: chain\nsteps: top_k\n"), HasSubstr("expected a list"));
  EXPECT_THAT(message("type: chain\ndialect: lama\n"), HasSubstr("did you mean 'llama'"));
}

TEST(Chain, RecordsWhatItDrewFrom) {
  test::Row row(test::random_logits(500, 3));
  row.view.want_distribution = true;
  const auto chain =
      test::sampler_of("{type: chain, steps: [{temperature: 0.5}, {top_k: 20}, {temperature: 3}]}");
  const auto state = chain->start();
  const Decision decision = chain->decide(row.view, state.get(), Draws(1, 0));
  EXPECT_DOUBLE_EQ(decision.temperature, 1.5);
  EXPECT_EQ(decision.kept, 20);
  ASSERT_EQ(decision.distribution.size(), 20U);
  double total = 0;
  for (const Candidate& candidate : decision.distribution) {
    total += candidate.probability;
    if (candidate.token == test::emitted(decision)) {
      EXPECT_NEAR(std::log(candidate.probability), decision.sampling_logprob, kFloat32);
    }
  }
  EXPECT_NEAR(total, 1, kFloat32 * 20);
}

// Passing over hopeless candidates must not change the choice.
TEST(GumbelMax, EqualsThePlainMaximum) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    const test::Row row(test::random_logits(3000, seed, 1 + static_cast<float>(seed)));
    const Candidates candidates(row.logits, row.statistics);
    const Draws draws(seed, 5);
    TokenId best = 0;
    double best_score = -INFINITY;
    for (size_t i = 0; i < row.logits.size(); ++i) {
      const double score = row.logits[i] + draws.gumbel(0, static_cast<uint32_t>(i));
      if (score > best_score) {
        best_score = score;
        best = static_cast<TokenId>(i);
      }
    }
    EXPECT_EQ(gumbel_max(candidates, draws, 0).token, best);
  }
}

// Noise belongs to the token: a setting that keeps the winner of another makes the same choice.
TEST(GumbelMax, CommonRandomNumbers) {
  const auto wide = test::sampler_of("{type: chain, steps: [{min_p: 0.001}]}");
  const auto narrow = test::sampler_of("{type: chain, steps: [{min_p: 0.3}]}");
  int same = 0, kept = 0;
  for (uint32_t position = 0; position < 200; ++position) {
    test::Row row(test::random_logits(100, position));
    row.view.want_distribution = true;
    const auto state = wide->start();
    const TokenId choice = test::emitted(wide->decide(row.view, state.get(), Draws(9, position)));
    const Decision other = narrow->decide(row.view, state.get(), Draws(9, position));
    bool winner_kept = false;
    for (const Candidate& candidate : other.distribution) winner_kept |= candidate.token == choice;
    if (!winner_kept) continue;
    ++kept;
    same += test::emitted(other) == choice;
  }
  EXPECT_GT(kept, 50);
  EXPECT_EQ(same, kept);
}

}  // namespace
}  // namespace surprisal
