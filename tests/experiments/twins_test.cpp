// Randomised twins, on models whose every logit is known.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/twin_effects.h"
#include "lib/draws.h"
#include "tests/experiments/hand_made_model.h"

namespace surprisal {
namespace {

using testing::answer;
using ::testing::ElementsAre;
using testing::HandMadeModel;
using testing::ids;
using testing::kEnd;
using testing::LetterTokenizer;

/// Thinks "b" where entropy is high; its base chain takes the most likely token.
std::unique_ptr<Sampler> thinker(const std::string& more = "max_per_answer: 1") {
  static const LetterTokenizer tokenizer(8);
  return create_sampler(
      builtin_samplers(),
      YAML::Load("{type: quadrant, entropy_cut: 1.0, varentropy_cut: 100, high_low: think, "
                 "think: {text: b, cooldown: 0, cap: 1, " +
                 more + "}, base: {steps: [{top_k: 1}]}}"),
      "sampler", "test", {.tokenizer = &tokenizer, .vocab_size = 8}, nullptr);
}

/// Unsure at first; a thought ("b", 1) leads to 2 and 3, none to 4.
std::map<TokenId, double> unsure_at_first(const std::vector<TokenId>& generated) {
  if (generated.empty()) return {{0, 0.3}, {2, 0.25}, {3, 0.25}, {4, 0.2}};
  if (generated.size() == 3) return {{kEnd, 1.0}};
  if (generated[0] == 1) return {{generated.size() == 1 ? 2 : 3, 1.0}};
  return {{4, 1.0}};
}

std::function<void(GenerationRequest&)> with_twins(double probability) {
  return [probability](GenerationRequest& request) {
    request.counterfactual = {probability, {ActionKind::kThink}};
  };
}

TEST(Twins, ShowWhatComesOfActingAndOfNot) {
  const HandMadeModel model(unsure_at_first);
  const auto sampler = thinker();
  const GenerationResult plain = answer(model, *sampler);
  const GenerationResult result = answer(model, *sampler, with_twins(1));
  ASSERT_EQ(result.twins.size(), 1u);
  const TwinRecord& pair = result.twins[0];
  EXPECT_EQ(pair.treated.response, "bcd");
  EXPECT_EQ(pair.untreated.response, "aee");
  ASSERT_EQ(pair.treated.foreign.size(), 1u);
  EXPECT_EQ(pair.treated.foreign[0].end, 1);
  EXPECT_EQ(pair.treated.stop_reason, StopReason::kEndOfText);
  EXPECT_EQ(pair.fork.position, 2);
  EXPECT_EQ(pair.fork.state, State::kHighLow);
  EXPECT_EQ(pair.fork.action, ActionKind::kThink);
  EXPECT_NEAR(pair.fork.max_probability, 0.3, 1e-6);
  // The fork's context (the prompt's two tokens), then three more, each asked for what follows.
  EXPECT_EQ(pair.treated.token_evaluations, 2 + 3);
  EXPECT_EQ(pair.untreated.token_evaluations, 2 + 3);
  // The answer itself is what it is without twins.
  EXPECT_EQ(ids(result), ids(plain));
  EXPECT_EQ(result.cost.token_evaluations, plain.cost.token_evaluations);
  EXPECT_EQ(result.cost.forward_passes, plain.cost.forward_passes);
  EXPECT_EQ(result.injected_tokens, plain.injected_tokens);
  EXPECT_TRUE(plain.twins.empty());
}

TEST(Twins, GoOnUnderTheBaseChainOnly) {
  // Unsure at every even place: the answer thinks there, its twins do not again.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.size() % 2 == 0) return {{0, 0.3}, {2, 0.25}, {3, 0.25}, {4, 0.2}};
    return {{5, 1.0}};
  });
  const GenerationResult result = answer(model, *thinker("max_per_answer: 9"), with_twins(1));
  ASSERT_GE(result.twins.size(), 2u);
  EXPECT_EQ(result.twins[0].treated.response, "bfafaf");
  EXPECT_EQ(result.twins[0].untreated.response, "afafaf");
  EXPECT_THAT(result.twins[1].treated.response,
              ::testing::StartsWith(result.response.substr(0, 2)));
}

TEST(Twins, AreDrawnAtTheRateAskedFor) {
  const HandMadeModel model(unsure_at_first);
  const auto sampler = thinker();
  int pairs = 0;
  for (uint64_t question = 0; question < 400; ++question)
    pairs += static_cast<int>(answer(model, *sampler, [&](GenerationRequest& request) {
                                with_twins(0.3)(request);
                                request.draws_key = draws_key(0, std::to_string(question), 0);
                              }).twins.size());
  EXPECT_NEAR(pairs, 120, 4 * std::sqrt(400 * 0.3 * 0.7));  // four standard deviations
}

TEST(Twins, OnlyTheActionsNamedAreTried) {
  const HandMadeModel model(unsure_at_first);
  EXPECT_TRUE(answer(model, *thinker(), [](GenerationRequest& request) {
                request.counterfactual = {1, {ActionKind::kBranch}};
              }).twins.empty());
}

TEST(Twins, TakeBackTokensWithTheMemoryTheBaseChainHadThen) {
  const LetterTokenizer tokenizer(8);
  const auto sampler = create_sampler(
      builtin_samplers(),
      YAML::Load("{type: quadrant, entropy_cut: 1.0, varentropy_cut: 100, high_low: rewind, "
                 "rewind: {tokens: 2, max_per_answer: 1, cooldown: 0}, "
                 "base: {steps: [{mirostat_v2: {tau: 3}}]}}"),
      "sampler", "test", {.tokenizer = &tokenizer, .vocab_size = 8}, nullptr);
  // Sure of "bc", then unsure; after "a" instead sure of "d".
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{1, 0.9}, {0, 0.1}};
    if (generated[0] == 0) return {{3, 1.0}};
    if (generated.size() == 1) return {{2, 1.0}};
    return {{0, 0.3}, {2, 0.25}, {3, 0.25}, {4, 0.2}};
  });
  const GenerationResult result = answer(model, *sampler, [](GenerationRequest& request) {
    request.counterfactual = {1, {ActionKind::kRewind}};
  });
  ASSERT_EQ(result.twins.size(), 1u);
  EXPECT_EQ(result.twins[0].treated.response, "addddd");
  EXPECT_EQ(result.twins[0].untreated.response.substr(0, 2), "bc");
  EXPECT_EQ(result.response, "addddd");
}

TEST(Twins, DoNotDependOnBatchOrMemory) {
  const HandMadeModel model(unsure_at_first);
  const auto sampler = thinker();
  const int64_t block = KVCache::bytes_per_block(model.config(), at::kFloat);
  const GenerationResult roomy = answer(model, *sampler, with_twins(1));
  const GenerationResult tight = answer(model, *sampler, with_twins(1),
                                        {.batch = 1, .memory_bytes = 2 * block, .logits_bytes = 0});
  EXPECT_EQ(tight.twins.at(0).treated.response, roomy.twins.at(0).treated.response);
  EXPECT_EQ(tight.twins.at(0).untreated.response, roomy.twins.at(0).untreated.response);
}

TwinRecord twins(State state, bool treated, bool untreated) {
  TwinRecord pair;
  pair.fork.state = state;
  pair.fork.action = ActionKind::kThink;
  pair.treated.score.numeric = treated;
  pair.untreated.score.numeric = untreated;
  return pair;
}

TEST(TwinEffects, AreToldApartByState) {
  TwinEffects effects;
  for (int64_t question = 0; question < 4; ++question) {
    effects.add(question, twins(State::kHighLow, true, question % 2 == 0));
    effects.add(question, twins(State::kHighHigh, false, true));
  }
  effects.add(0, twins(State::kHighLow, true, false));
  const std::vector<TwinEffect> found = effects.effects(Scorer::kNumeric);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].state, "high_low");
  EXPECT_EQ(found[0].action, "think");
  EXPECT_EQ(found[0].pairs, 5);
  EXPECT_EQ(found[0].questions, 4);
  EXPECT_EQ(found[0].treated, 1);
  EXPECT_DOUBLE_EQ(found[0].untreated, 0.4);
  EXPECT_DOUBLE_EQ(found[0].effect.value, 0.6);
  EXPECT_LT(found[0].effect.low, 0.6);
  EXPECT_EQ(found[1].effect.value, -1);
  EXPECT_TRUE(std::isnan(found[1].effect.low)) << "all pairs agree";
  const auto again = twin_effects_from_json(twin_effects_json(found));
  EXPECT_EQ(twin_effects_json(again), twin_effects_json(found));
}

TEST(AnswerSignals, TellWrongAnswersWhereTheyDo) {
  AnswerSignals signals;
  for (int64_t doc_id = 0; doc_id < 8; ++doc_id) {
    Sample sample;
    sample.doc_id = doc_id;
    sample.score.numeric = doc_id >= 3;
    for (int i = 0; i < 2; ++i) {
      TokenRecord& token = sample.tokens.emplace_back();
      token.entropy = sample.score.numeric ? 1.0F : 2.0F;
      token.varentropy = static_cast<float>(doc_id % 2);
      token.logprob = -1;
      token.attention_entropy = std::numeric_limits<float>::quiet_NaN();
    }
    signals.add(sample);
  }
  const std::vector<SignalAuroc> aurocs = signals.aurocs(Scorer::kNumeric);
  std::map<std::string, double> values;
  for (const SignalAuroc& entry : aurocs) values[entry.signal] = entry.auroc.value;
  EXPECT_EQ(values.at("entropy"), 1);
  EXPECT_EQ(values.at("surprisal"), 0.5);
  EXPECT_FALSE(values.contains("attention_entropy")) << "not recorded";
  EXPECT_GT(values.at("attention_agreement"), 0);
}

}  // namespace
}  // namespace surprisal
