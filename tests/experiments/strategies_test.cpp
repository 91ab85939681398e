// Strategies on models whose every logit is known.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "experiments/strategies/cot_decoding.h"
#include "experiments/strategies/deepconf.h"
#include "experiments/strategies/strategy.h"
#include "lib/draws.h"
#include "samplers/greedy.h"
#include "tests/experiments/hand_made_model.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::answer;
using ::testing::ElementsAre;
using testing::FakeModel;
using testing::HandMadeModel;
using testing::ids;
using testing::kEnd;
using testing::kPrompt;

std::unique_ptr<Strategy> strategy(const std::string& yaml) {
  return create_strategy(builtin_strategies(), YAML::Load(yaml), "strategy", "test", nullptr);
}

std::unique_ptr<Sampler> sampler(const std::string& yaml) {
  return create_sampler(builtin_samplers(), YAML::Load(yaml), "sampler", "test", {}, nullptr);
}

std::function<void(GenerationRequest&)> with(const Strategy& strategy) {
  return [&strategy](GenerationRequest& request) {
    request.strategy = &strategy;
    for (int64_t member = 0; member < strategy.answers(); ++member)
      request.member_keys.push_back(draws_key(0, "q", static_cast<uint64_t>(member)));
    request.draws_key = request.member_keys.at(0);
  };
}

/// The same answers one by one, by the sampler alone.
std::vector<GenerationResult> alone(const FakeModel& model, const Sampler& sampler, int64_t count) {
  std::vector<GenerationResult> results;
  for (int64_t repeat = 0; repeat < count; ++repeat)
    results.push_back(answer(model, sampler, [&](GenerationRequest& request) {
      request.draws_key = draws_key(0, "q", static_cast<uint64_t>(repeat));
    }));
  return results;
}

double mean_logprob(const GenerationResult& result) {
  double sum = 0;
  for (const TokenRecord& token : result.tokens) sum += token.logprob;
  return sum / static_cast<double>(result.tokens.size());
}

/// A model without an end, which spreads its choices.
class Undecided : public FakeModel {
 public:
  Undecided() : FakeModel(8, 64) {}
};

TEST(Strategies, WholeAnswersAreThoseOfTheSamplerAlone) {
  const Undecided model;
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  const auto best_of = strategy("{type: best_of_n, n: 6}");
  const GenerationResult result = answer(model, *chain, with(*best_of));
  const std::vector<GenerationResult> expected = alone(model, *chain, 6);
  ASSERT_EQ(result.branches.size(), 6u);
  size_t best = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const BranchRecord& branch = result.branches[i];
    EXPECT_EQ(branch.text, expected[i].response);
    EXPECT_NEAR(branch.score, mean_logprob(expected[i]), 1e-6);
    if (mean_logprob(expected[i]) > mean_logprob(expected[best])) best = i;
  }
  EXPECT_EQ(ids(result), ids(expected[best]));
  EXPECT_TRUE(result.branches[best].kept);
  EXPECT_TRUE(result.branches[best].tokens.empty()) << "they stand in /tokens";
  EXPECT_EQ(result.events.back().kind, EventKind::kChoose);
}

/// Every context the model had to be asked about, found without the engine.
size_t contexts(const std::vector<GenerationResult>& answers) {
  std::set<std::vector<TokenId>> asked;
  for (const GenerationResult& one : answers) {
    std::vector<TokenId> context;
    asked.insert(context);
    for (const TokenRecord& token : one.tokens) {
      context.push_back(token.token_id);
      const bool is_last = context.size() == one.tokens.size();
      if (!is_last || one.stop_reason == StopReason::kEndOfText) asked.insert(context);
    }
  }
  return asked.size();
}

TEST(Strategies, CostEachContextOnce) {
  const Undecided model;
  const auto chain = sampler("{type: chain, steps: [{temperature: 0.3}]}");
  const auto vote = strategy("{type: self_consistency, k: 12}");
  const GenerationResult result = answer(model, *chain, with(*vote));
  const auto members = alone(model, *chain, 12);
  EXPECT_EQ(result.cost.token_evaluations,
            static_cast<int64_t>(kPrompt.size() + contexts(members)) - 1);
  int64_t tokens = 0, longest = 0;
  for (const GenerationResult& member : members) {
    tokens += member.generated_tokens;
    longest = std::max(longest, member.cost.forward_passes);
  }
  EXPECT_EQ(result.cost.forward_passes, longest) << "side by side";
  EXPECT_EQ(result.discarded_tokens, tokens - result.generated_tokens);
}

TEST(Strategies, TheMajorityWins) {
  const Undecided model;
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  const auto vote = strategy("{type: self_consistency, k: 9}");
  const auto change = [&](GenerationRequest& request) {
    with (*vote)(request);
    // An answer is its first letter; "a" to "c" say nothing.
    request.extract_answer = [](const std::string& text) {
      return text[0] <= 'c' ? std::string() : text.substr(0, 1);
    };
  };
  const auto members = alone(model, *chain, 9);
  std::map<char, int> votes;
  for (const GenerationResult& one : members)
    if (one.response[0] > 'c') ++votes[one.response[0]];
  const GenerationResult result = answer(model, *chain, change);
  ASSERT_FALSE(votes.empty());
  int most = 0;
  for (const auto& [letter, count] : votes) most = std::max(most, count);
  EXPECT_EQ(votes[result.response[0]], most);
}

TEST(Vote, WeighsAbstainsAndBreaksTiesByOrder) {
  EXPECT_EQ(weighted_vote({"7", "8", "8"}, {1, 1, 1}), 1u);
  EXPECT_EQ(weighted_vote({"7", "8", "8"}, {3, 1, 1}), 0u);
  EXPECT_EQ(weighted_vote({"8", "7", "7", "8"}, {1, 1, 1, 1}), 0u);
  EXPECT_EQ(weighted_vote({"", "", "7"}, {5, 5, 1}), 2u);
  EXPECT_EQ(weighted_vote({"", ""}, {1, 1}), 0u);
}

/// Token 0 is likelier at first and leads nowhere; after 1 all is certain.
std::map<TokenId, double> trap(const std::vector<TokenId>& generated) {
  if (generated.empty()) return {{0, 0.6}, {1, 0.4}};
  if (generated.size() == 2) return {{kEnd, 1.0}};
  if (generated[0] == 0) return {{2, 0.3}, {3, 0.3}, {4, 0.4}};
  return {{4, 0.9}, {3, 0.1}};
}

TEST(BeamSearch, FindsWhatGreedyMisses) {
  const HandMadeModel model(trap);
  const Greedy greedy;
  EXPECT_THAT(ids(answer(model, greedy)), ElementsAre(0, 4));
  const auto beams = strategy("{type: beam_search, beams: 2}");
  const GenerationResult result = answer(model, greedy, with(*beams));
  EXPECT_THAT(ids(result), ElementsAre(1, 4));
  EXPECT_EQ(result.stop_reason, StopReason::kEndOfText);
  ASSERT_EQ(result.branches.size(), 1u);
  // Three tokens each, the end included.
  EXPECT_NEAR(result.branches[0].score, std::log(0.6 * 0.4) / 3, 1e-6);
  EXPECT_NEAR(parse_json(result.events[0].detail, "").at("score").get<double>(),
              std::log(0.4 * 0.9) / 3, 1e-6);
  EXPECT_EQ(result.tokens[0].source, TokenSource::kBranch);
  // Prompt; 0 and 1; 04 and 14.
  EXPECT_EQ(result.cost.token_evaluations, 2 + 2 + 2);
  EXPECT_EQ(result.cost.forward_passes, 3);
  EXPECT_EQ(result.discarded_tokens, 2);
}

TEST(BeamSearch, WithEveryBeamItIsExhaustive) {
  const Undecided model;
  const Greedy greedy;
  const auto beams = strategy("{type: beam_search, beams: 256}");
  const GenerationResult result = answer(model, greedy, [&](GenerationRequest& request) {
    with (*beams)(request);
    request.max_new_tokens = 3;
    request.stop_tokens = {};
  });
  double best = -1e9;
  std::vector<TokenId> expected;
  for (TokenId a = 0; a < 8; ++a)
    for (TokenId b = 0; b < 8; ++b)
      for (TokenId c = 0; c < 8; ++c) {
        std::vector<TokenId> context = kPrompt;
        double sum = 0;
        for (const TokenId token : {a, b, c}) {
          const auto logits = model.logits_after(context);
          sum += logits[static_cast<size_t>(token)] - distribution_statistics(logits).log_sum_exp;
          context.push_back(token);
        }
        if (sum > best) {
          best = sum;
          expected = {a, b, c};
        }
      }
  EXPECT_EQ(ids(result), expected);
}

TEST(CotDecoding, TheSurestAnswerWins) {
  // Greedily "a" and then an unsure "c"; with "b" first the "d" is sure.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.5}, {1, 0.3}, {2, 0.2}};
    if (generated.size() == 2) return {{kEnd, 1.0}};
    if (generated[0] == 0) return {{2, 0.5}, {3, 0.4}};
    return {{3, generated[0] == 1 ? 0.9 : 0.8}};
  });
  const Greedy greedy;
  const auto run = [&](const std::string& yaml) {
    const auto cot = strategy(yaml);
    return answer(model, greedy, [&](GenerationRequest& request) {
      with (*cot)(request);
      request.extract_answer = [](const std::string& text) { return text.substr(1); };
    });
  };
  const GenerationResult result = run("{type: cot_decoding, k: 3}");
  EXPECT_EQ(result.response, "bd");
  ASSERT_EQ(result.branches.size(), 3u);
  EXPECT_NEAR(result.branches[0].score, 0.5 - 0.4, 1e-6);
  EXPECT_NEAR(result.branches[1].score, 0.9 - 0.1, 1e-6);
  EXPECT_NEAR(result.branches[2].score, 0.8 - 0.2, 1e-6);
  EXPECT_EQ(run("{type: cot_decoding, k: 1}").response, "ac");
}

TEST(CotDecoding, ReadsTheMarginWhereTheResultStandsLast) {
  const testing::LetterTokenizer tokenizer(8);
  GenerationResult result;
  result.response = "abcab";
  for (const TokenId token : {0, 1, 2, 0, 1}) {
    TokenRecord& record = result.tokens.emplace_back();
    record.token_id = token;
    record.max_probability = 0.5F + 0.1F * static_cast<float>(result.tokens.size() - 1);
    record.second_probability = 0.1F;
  }
  EXPECT_NEAR(answer_margin(result, "ab", tokenizer), (0.7 + 0.8) / 2, 1e-6);
  EXPECT_NEAR(answer_margin(result, "c", tokenizer), 0.6, 1e-6);
  EXPECT_EQ(answer_margin(result, "f", tokenizer), 0);
  EXPECT_EQ(answer_margin(result, "", tokenizer), 0);
}

TEST(EntropyGated, PartsOnlyWhereTheEntropyIsHigh) {
  // One fork, at the second token; "c" (2) leads to certainty, "d" (3) is likelier at first.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.size() == 1) return {{3, 0.5}, {2, 0.4}};
    if (generated.size() == 3) return {{kEnd, 1.0}};
    if (generated.size() == 2 && generated[1] == 3) return {{4, 0.5}, {1, 0.5}};
    return {{0, 1.0}};
  });
  const Greedy greedy;
  const auto run = [&](const std::string& more) {
    const auto gated = strategy("{type: entropy_gated, expand_first: false, " + more + "}");
    return answer(model, greedy, with(*gated));
  };
  const GenerationResult result = run("threshold: 0.8, expansions: 2, beams: 2");
  EXPECT_THAT(ids(result), ElementsAre(0, 2, 0));
  ASSERT_EQ(result.branches.size(), 1u);
  EXPECT_NEAR(result.branches[0].score, std::log(0.5 * 0.5) / 4, 1e-6);  // 0, 3, 1, end
  // Prompt; 0; 02, 03; 020, 031: its own fork, the second of the step, is followed greedily.
  EXPECT_EQ(result.cost.token_evaluations, 2 + 1 + 2 + 2);
  EXPECT_EQ(result.cost.forward_passes, 4);
  EXPECT_THAT(ids(run("threshold: 2, expansions: 2, beams: 2")), ElementsAre(0, 3, 1));
}

TEST(EntropyGated, GivesUpAllButItsBeamsAfterAStep) {
  const Undecided model;
  const Greedy greedy;
  const auto gated =
      strategy("{type: entropy_gated, threshold: 0, expansions: 3, beams: 2, step_tokens: 2}");
  const GenerationResult result = answer(model, greedy, [&](GenerationRequest& request) {
    with (*gated)(request);
    request.stop_tokens = {};
  });
  // Six tokens are three steps: 3 hypotheses, then twice 2 x 3, of which 2 are the last to stay.
  EXPECT_EQ(ids(result).size(), 6u);
  EXPECT_EQ(result.branches.size(), 1u + 4u + 5u);
  for (const BranchRecord& branch : result.branches) EXPECT_LE(branch.score, 0);
}

TEST(EntropyGated, RefusesSamplersThatDoMore) {
  const Undecided model;
  const testing::ScriptedSampler thinking([](const StepView&) -> std::optional<Action> {
    return Inject{{1}, "b"};
  });
  const auto gated = strategy("{type: entropy_gated, threshold: 99, expand_first: false}");
  EXPECT_THROW(answer(model, thinking, with(*gated)), Error);
}

TEST(EntropyGated, DoesNotDependOnWhoComesFirst) {
  // Hypotheses part at unequal depths: which one does so first is a matter of the batch.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    size_t mixed = generated.size();
    for (const TokenId token : generated) mixed = mixed * 5 + static_cast<size_t>(token);
    if (mixed % 3 == 0) return {{0, 0.3}, {1, 0.3}, {2, 0.2}, {3, 0.2}};
    return {{0, 0.6}, {1, 0.4}};
  });
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  const auto gated =
      strategy("{type: entropy_gated, threshold: 1, expansions: 2, beams: 3, step_tokens: 5}");
  const auto run = [&](uint64_t question, int64_t batch) {
    return answer(model, *chain,
                  [&](GenerationRequest& request) {
                    with (*gated)(request);
                    request.max_new_tokens = 20;
                    request.draws_key = draws_key(0, std::to_string(question), 0);
                  },
                  {.batch = batch});
  };
  for (uint64_t question = 0; question < 20; ++question) {
    const GenerationResult alone = run(question, 1), together = run(question, 16);
    EXPECT_EQ(ids(alone), ids(together));
    EXPECT_EQ(alone.cost.token_evaluations, together.cost.token_evaluations);
  }
}

TEST(Searches, FollowOneHypothesisOnceTheBudgetIsUsedUp) {
  const Undecided model;
  const Greedy greedy;
  for (const char* yaml : {"{type: beam_search, beams: 4}",
                           "{type: entropy_gated, threshold: 0, expansions: 4, step_tokens: 1}"}) {
    const auto one = strategy(yaml);
    const auto run = [&](int64_t most) {
      return answer(model, greedy, [&](GenerationRequest& request) {
        with (*one)(request);
        request.stop_tokens = {};
        request.max_new_tokens = 20;
        request.budget.max_token_evaluations = most;
      });
    };
    const GenerationResult thrifty = run(10);
    EXPECT_EQ(thrifty.tokens.size(), 20u) << yaml;
    EXPECT_LT(thrifty.cost.token_evaluations, 10 + 20 + 20) << yaml;
    EXPECT_GT(run(1000).cost.token_evaluations, 50) << yaml;
    EXPECT_THAT(thrifty.events.front().detail, ::testing::HasSubstr("max_token_evaluations"));
  }
}

TEST(DeepConf, MeasuresOnlyWhatTheModelChose) {
  const Undecided model;
  const testing::ScriptedSampler thinking([](const StepView& view) -> std::optional<Action> {
    if (view.generated().empty()) return Inject{{1, 1, 1, 1}, "bbbb"};
    return std::nullopt;
  });
  const auto confident = strategy("{type: deepconf, n: 2, window: 2}");
  const GenerationResult result = answer(model, thinking, with(*confident));
  for (const BranchRecord& branch : result.branches) EXPECT_GT(branch.score, 0.1);
}

TEST(DeepConf, MeasuresGroupsAsTheAuthorsDo) {
  const std::vector<double> confidences = {4, 2, 6, 8, 1, 3};
  ConfidenceRule rule{.window = 2, .bottom = 0.4};
  EXPECT_THAT(rule.groups(confidences), ElementsAre(3, 4, 7, 4.5, 2));
  EXPECT_EQ(rule.of(confidences), 2);
  rule.measure = ConfidenceRule::Measure::kMean;
  EXPECT_EQ(rule.of(confidences), 4);
  rule.measure = ConfidenceRule::Measure::kTail;
  EXPECT_EQ(rule.of(confidences), 2);
  rule.measure = ConfidenceRule::Measure::kBottom;
  EXPECT_EQ(rule.of(confidences), 2.5);  // the lowest two of five groups
  rule.window = 100;
  EXPECT_EQ(rule.of(confidences), 4) << "one group";
  EXPECT_EQ(rule.of({}), 0);
}

/// After "a" the model is sure of each token, after anything else it is not. High confidence means
/// that the alternatives are unlikely.
std::map<TokenId, double> sure_after_a(const std::vector<TokenId>& generated) {
  if (generated.empty()) return {{0, 0.5}, {1, 0.5}};
  if (generated.size() == 5) return {{kEnd, 1.0}};
  if (generated[0] == 0) return {{2, 0.999}, {3, 0.001}};
  return {{2, 0.5}, {3, 0.5}};
}

TEST(DeepConf, OnlineStopsTheUnsureAndLetsTheSureVote) {
  const HandMadeModel model(sure_after_a);
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  const auto confident = strategy(
      "{type: deepconf, n: 24, mode: online, warmup: 8, percentile: 90, window: 2, top: 2}");
  const GenerationResult result = answer(model, *chain, [&](GenerationRequest& request) {
    with (*confident)(request);
    request.max_new_tokens = 8;
    request.extract_answer = [](const std::string& text) { return text.substr(0, 1); };
  });
  EXPECT_EQ(result.response[0], 'a');
  ASSERT_EQ(result.branches.size(), 24u);
  int stopped = 0;
  for (size_t i = 0; i < 24; ++i) {
    const BranchRecord& branch = result.branches[i];
    if (i < 8) {
      EXPECT_EQ(branch.length, 5) << "warm-up answers are whole";
    }
    if (i >= 8 && branch.text[0] == 'b') {
      EXPECT_LT(branch.length, 3);
      ++stopped;
    }
    if (branch.text[0] == 'a') {
      EXPECT_EQ(branch.length, 5);
    }
  }
  EXPECT_GT(stopped, 0);
}

TEST(DeepConf, OfflineWeighsVotes) {
  const HandMadeModel model(sure_after_a);
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  const auto confident = strategy("{type: deepconf, n: 24, keep: 0.2, window: 4, top: 2}");
  const GenerationResult result = answer(model, *chain, [&](GenerationRequest& request) {
    with (*confident)(request);
    request.extract_answer = [](const std::string& text) { return text.substr(0, 1); };
  });
  EXPECT_EQ(result.response[0], 'a') << "the surest fifth are all of this kind";
}

TEST(Strategies, AreRefusedByName) {
  EXPECT_EQ(testing::error_of([] { strategy("{type: self_consistancy}"); }).code(),
            ErrorCode::kUnknownName);
  EXPECT_THAT(testing::error_of([] { strategy("{type: beam_search, beam: 3}"); }).what(),
              ::testing::HasSubstr("beams"));
}

/// Nothing that depends on chance order: any batch, any memory, shared or not.
TEST(Strategies, DoNotDependOnBatchOrMemory) {
  const Undecided model;
  const auto chain = sampler("{type: chain, steps: [{temperature: 1}]}");
  for (const char* yaml :
       {"{type: best_of_n, n: 5}", "{type: self_consistency, k: 5}", "{type: cot_decoding, k: 4}",
        "{type: deepconf, n: 6, mode: online, warmup: 2, window: 2}",
        "{type: entropy_gated, threshold: 1, step_tokens: 2}", "{type: beam_search, beams: 3}"}) {
    const auto one = strategy(yaml);
    const auto change = [&](GenerationRequest& request) {
      with (*one)(request);
      request.max_new_tokens = 20;
    };
    const GenerationResult roomy = answer(model, *chain, change);
    const int64_t block = KVCache::bytes_per_block(model.config(), at::kFloat);
    for (const EngineOptions& options :
         {EngineOptions{.batch = 1}, EngineOptions{.batch = 3, .memory_bytes = 4 * block},
          EngineOptions{.batch = 16, .memory_bytes = 4 * block, .logits_bytes = 0}}) {
      const GenerationResult tight = answer(model, *chain, change, options);
      EXPECT_EQ(ids(tight), ids(roomy)) << yaml;
      EXPECT_EQ(tight.cost.token_evaluations, roomy.cost.token_evaluations) << yaml;
      EXPECT_EQ(tight.cost.forward_passes, roomy.cost.forward_passes) << yaml;
      EXPECT_EQ(tight.branches.size(), roomy.branches.size()) << yaml;
    }
  }
}

}  // namespace
}  // namespace surprisal
