// Decisions other than "emit", carried out on models whose every logit is known.

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "experiments/branching.h"
#include "lib/draws.h"
#include "tests/experiments/hand_made_model.h"

namespace surprisal {
namespace {

using testing::answer;
using testing::HandMadeModel;
using testing::ids;
using testing::kEnd;
using testing::ScriptedSampler;

/// At the start tokens 0 and 1 stand close; after 1 the model is surer than after 0.
std::map<TokenId, double> two_roads(const std::vector<TokenId>& generated) {
  if (generated.empty()) return {{0, 0.5}, {1, 0.4}};
  if (generated[0] == 0) return {{2, 0.5}, {3, 0.3}};
  return {{4, 0.9}};
}

Action fork(BranchPlan plan) {
  return Branch{{0, 1}, plan};
}

ScriptedSampler forking_at_start(BranchPlan plan) {
  return ScriptedSampler([plan](const StepView& view) -> std::optional<Action> {
    if (view.generated().empty() && view.may_branch) return fork(plan);
    return std::nullopt;
  });
}

TEST(Branching, KeepsTheBranchWithTheBetterMeanLogprob) {
  const HandMadeModel model(two_roads);
  // Mean ln p over three tokens: road 0: (ln .5 + 2 ln .5)/3 = -0.693; road 1: (ln .4 + 2 ln .9)/3.
  const auto result = answer(model, forking_at_start({.horizon = 3}));
  EXPECT_EQ(ids(result), (std::vector<TokenId>{1, 4, 4, 4, 4, 4}));
  ASSERT_EQ(result.branches.size(), 2u);
  EXPECT_FALSE(result.branches[0].kept);
  EXPECT_TRUE(result.branches[1].kept);
  EXPECT_NEAR(result.branches[0].score, std::log(0.5), 1e-6);
  EXPECT_NEAR(result.branches[1].score, (std::log(0.4) + 2 * std::log(0.9)) / 3, 1e-6);
  EXPECT_EQ(result.branches[0].tokens.size(), 3u);  // the loser's tokens are kept for the record
  EXPECT_EQ(result.branches[0].text, "acc");
  EXPECT_TRUE(result.branches[1].tokens.empty());
  EXPECT_EQ(result.tokens[0].source, TokenSource::kBranch);
  EXPECT_EQ(result.tokens[2].source, TokenSource::kBranch);
  EXPECT_EQ(result.tokens[3].source, TokenSource::kSampled);
  EXPECT_EQ(result.discarded_tokens, 3);
  EXPECT_EQ(result.interventions, 1);
}

TEST(Branching, WithOneTokenOfHorizonTheForkTokenDecides) {
  const HandMadeModel model(two_roads);
  EXPECT_EQ(ids(answer(model, forking_at_start({.horizon = 1})))[0], 0);
}

TEST(Branching, CostsWhatEveryBranchNeedsAndStepsOfTheLongest) {
  const HandMadeModel model(two_roads);
  const auto result = answer(model, forking_at_start({.horizon = 3}));
  // Prompt 2; each road reads its first two tokens to choose the next (4); then the third of the
  // winner and two more to choose the last three. The sixth token is not read.
  EXPECT_EQ(result.cost.token_evaluations, 2 + 4 + 3);
  // Prompt, two side by side, three more.
  EXPECT_EQ(result.cost.forward_passes, 1 + 2 + 3);
}

TEST(Branching, ComparesByEntropyWhenAsked) {
  // Road 0 chooses likely tokens from flat-tailed distributions, road 1 from two-way ones.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.5}, {1, 0.5}};
    if (generated[0] == 0) return {{2, 0.55}, {0, 0.15}, {1, 0.15}, {3, 0.15}};
    return {{4, 0.52}, {3, 0.48}};
  });
  EXPECT_EQ(ids(answer(model, forking_at_start({.horizon = 3})))[0], 0);
  EXPECT_EQ(ids(answer(model, forking_at_start({.horizon = 3,
                                                .compare = BranchPlan::Compare::kMeanEntropy})))[0],
            1);
}

/// Both roads are equally sure; they differ in what they say.
std::map<TokenId, double> equal_roads(const std::vector<TokenId>& generated) {
  if (generated.empty()) return {{0, 0.5}, {1, 0.5}};
  return {{generated[0] == 0 ? 2 : 3, 0.9}};
}

TEST(Branching, ATieWithDifferentContentAsks) {
  const HandMadeModel model(equal_roads);
  const auto sampler = forking_at_start({.horizon = 3, .margin = 0.01});
  std::vector<std::string> options;
  const auto result = answer(model, sampler, [&](GenerationRequest& request) {
    request.ask = [&](const AskUser& question, const Draws&) {
      options = question.options;
      return AskReply{.option = 1, .own_words = std::nullopt};
    };
  });
  EXPECT_EQ(options, (std::vector<std::string>{"acc", "bdd"}));
  EXPECT_EQ(ids(result)[0], 1);
  EXPECT_EQ(result.events[0].kind, EventKind::kAsk);
  // Without anybody to ask: the best, which is the first of equals.
  EXPECT_EQ(ids(answer(model, sampler))[0], 0);
}

TEST(Branching, PoliciesAnswerInAPersonsPlace) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.45}, {1, 0.55}};
    return {{generated[0] == 0 ? 2 : 3, 0.9}};
  });
  const auto sampler = forking_at_start({.horizon = 3, .margin = 0.5});
  const auto first_token = [&](const std::string& policy) {
    return ids(
        answer(model, sampler, [&](GenerationRequest& r) { r.ask = ask_policy(policy); }))[0];
  };
  EXPECT_EQ(first_token("best"), 1);
  EXPECT_EQ(first_token("first"), 0);
  EXPECT_THROW(ask_policy("frist"), Error);
}

TEST(Branching, OwnWordsGoInAsTheUsers) {
  const HandMadeModel model(equal_roads);
  const auto result =
      answer(model, forking_at_start({.horizon = 3, .margin = 0.01}), [](GenerationRequest& r) {
        r.ask = [](const AskUser&, const Draws&) { return AskReply{0, "be"}; };
      });
  EXPECT_EQ(result.tokens[0].source, TokenSource::kUser);
  EXPECT_EQ(result.response.substr(0, 2), "be");
  ASSERT_EQ(result.foreign.size(), 1u);
  EXPECT_EQ(result.foreign[0].end, 2);
}

TEST(Branching, EqualContentIsNoTie) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.5}, {1, 0.5}};
    return {{2, 0.9}};
  });
  bool asked = false;
  answer(model, forking_at_start({.horizon = 4, .margin = 0.01}), [&](GenerationRequest& request) {
    request.ask = [&](const AskUser&, const Draws&) {
      asked = true;
      return AskReply{};
    };
  });
  EXPECT_FALSE(asked);  // "accc" and "bccc" differ in one letter of four
}

TEST(Branching, AnswersDecideWhatDiffersWhenBranchesReachThem) {
  const HandMadeModel model(equal_roads);
  bool asked = false;
  const auto with_answer = [&](const std::function<std::string(const std::string&)>& extract) {
    asked = false;
    answer(model,
           forking_at_start({.horizon = 3, .stop_at = BranchPlan::StopAt::kAnswer, .margin = 0.01}),
           [&](GenerationRequest& request) {
             request.extract_answer = extract;
             request.ask = [&](const AskUser&, const Draws&) {
               asked = true;
               return AskReply{};
             };
           });
    return asked;
  };
  EXPECT_FALSE(with_answer([](const std::string& t) { return t.size() > 1 ? "same" : ""; }));
  EXPECT_TRUE(with_answer([](const std::string& t) { return t.size() > 1 ? t.substr(0, 1) : ""; }));
}

TEST(Branching, AnAnswerIsReadWhenItNoLongerGrows) {
  // "ccd..." and "dce...": what follows the first letter, up to two letters, is the answer.
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{2, 0.5}, {3, 0.5}};
    if (generated.size() == 1) return {{2, 1.0}};
    return {{generated.size() == 2 && generated[0] == 2 ? 3 : 4, 1.0}};
  });
  std::vector<std::string> options;
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    if (!view.generated().empty()) return std::nullopt;
    return Branch{{2, 3}, {.horizon = 6, .stop_at = BranchPlan::StopAt::kAnswer, .margin = 0.01}};
  });
  answer(model, sampler, [&](GenerationRequest& request) {
    request.extract_answer = [](const std::string& text) { return text.substr(1, 2); };
    request.ask = [&](const AskUser& question, const Draws&) {
      options = question.options;
      return AskReply{};
    };
  });
  EXPECT_EQ(options, (std::vector<std::string>{"cd", "ce"}));
}

TEST(Branching, RollOutsDrawTheSameWhateverIsKnownBefore) {
  const HandMadeModel model([](const std::vector<TokenId>&) -> std::map<TokenId, double> {
    return {{0, 0.4}, {1, 0.3}, {2, 0.3}};
  });
  const auto chain =
      create_sampler(builtin_samplers(), YAML::Load("{type: chain, steps: [{temperature: 1}]}"), "",
                     "", {}, nullptr);
  const ScriptedSampler forking([&](const StepView& view) -> std::optional<Action> {
    if (!view.generated().empty()) return std::nullopt;
    return Branch{{0, 1}, {.horizon = 2, .rounds = 3, .keep = 2, .rollout = chain.get()}};
  });
  // Goes where the second candidate leads, so that there the model has been asked already.
  const ScriptedSampler before([](const StepView& view) -> std::optional<Action> {
    return Emit{view.generated().empty() ? 1 : 0};
  });
  const testing::LetterTokenizer tokenizer(8);
  const auto run = [&](bool sharing, uint64_t question) {
    GenerationRequest first;
    first.prompt = testing::kPrompt;
    first.sampler = &before;
    first.max_new_tokens = 8;
    GenerationRequest second = first;
    second.id = 1;
    second.sampler = &forking;
    second.draws_key = draws_key(0, std::to_string(question), 0);
    std::vector<GenerationRequest> requests = {first, second};
    Engine engine(model, tokenizer, {.batch = 1, .memory_bytes = 1 << 20, .sharing = sharing});
    size_t next = 0;
    std::string texts;
    engine.run(
        [&]() -> std::optional<GenerationRequest> {
          if (next == requests.size()) return std::nullopt;
          return requests[next++];
        },
        [&](GenerationResult result) {
          if (result.id != 1) return;
          texts = result.response;
          for (const BranchRecord& branch : result.branches) texts += " " + branch.text;
        });
    return texts;
  };
  for (uint64_t question = 0; question < 20; ++question)
    EXPECT_EQ(run(true, question), run(false, question));
}

TEST(Branching, TheEndOfTextMayWin) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.3}, {kEnd, 0.6}};
    return {{2, 0.9}};
  });
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    if (view.generated().empty()) return Branch{{0, kEnd}, {.horizon = 1}};
    return std::nullopt;
  });
  const auto result = answer(model, sampler);
  EXPECT_TRUE(result.tokens.empty());
  EXPECT_EQ(result.stop_reason, StopReason::kEndOfText);
  EXPECT_EQ(result.response, "");
}

TEST(Branching, BudgetsAreSeenBySamplers) {
  const HandMadeModel model(two_roads);
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    if (view.may_branch) return fork({.horizon = 1});
    return std::nullopt;
  });
  const auto result = answer(model, sampler, [](GenerationRequest& request) {
    request.budget.max_branches = 4;  // two forks of two
  });
  EXPECT_EQ(result.branches.size(), 4u);
}

TEST(Rewind, TakesBackBansAndGoesOn) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.6}, {1, 0.3}};
    return {{generated[0] == 0 ? 2 : 4, 0.9}};
  });
  // Dislikes "ac": goes back to before the "a".
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    const auto generated = view.generated();
    if (generated.size() == 2 && generated[0] == 0) return Rewind{2, true};
    return std::nullopt;
  });
  const auto result = answer(model, sampler);
  EXPECT_EQ(ids(result), (std::vector<TokenId>{1, 4, 4, 4, 4, 4}));
  EXPECT_EQ(result.response, "beeeee");
  EXPECT_EQ(result.tokens[0].attempt, 1);
  EXPECT_EQ(result.tokens[1].attempt, 0);
  EXPECT_EQ(result.discarded_tokens, 2);
  EXPECT_EQ(result.events[0].kind, EventKind::kRewind);
  EXPECT_EQ(result.events[0].detail, "ac");
  // Prompt; "a", "c" read; then five of the six new ones.
  EXPECT_EQ(result.cost.token_evaluations, 2 + 2 + 5);
}

TEST(Rewind, ABanSurvivesFurtherRewindsAndReachesChains) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.empty()) return {{0, 0.5}, {1, 0.3}, {2, 0.15}, {3, 0.05}};
    return {{4, 1.0}};
  });
  // A chain that keeps the likeliest token, asked about the row before and after the bans: what it
  // finds out about a row with a ban must not be mistaken for the row itself.
  const auto chain = create_sampler(
      builtin_samplers(), YAML::Load("{type: chain, steps: [{top_k: 1}]}"), "", "", {}, nullptr);
  class Fussy : public Sampler {
   public:
    explicit Fussy(const Sampler& chain) : chain_(chain) {}
    std::unique_ptr<SamplerState> start() const override { return chain_.start(); }
    Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
      Decision decision = chain_.decide(view, state, draws);
      if (view.generated().size() == 1 && view.generated()[0] < 2)
        decision.action = Rewind{1, true};
      return decision;
    }
    const Sampler& chain_;
  };
  const auto result = answer(model, Fussy(*chain));
  EXPECT_EQ(ids(result)[0], 2) << "0 and 1 were taken back, one after the other";
  EXPECT_EQ(result.tokens[0].attempt, 2);
  EXPECT_EQ(result.discarded_tokens, 2);
}

/// At every place 0 with 0.6 or 1 with 0.4, but a 1 at the second place makes all that follows
/// certain.
TEST(Branching, ABeamPartsAgainAfterEachRound) {
  const HandMadeModel model([](const std::vector<TokenId>& generated) -> std::map<TokenId, double> {
    if (generated.size() >= 2 && generated[1] == 1) return {{2, 1.0}};
    return {{0, 0.6}, {1, 0.4}};
  });
  const auto beam = [&](int64_t rounds, int64_t keep) {
    return answer(model, forking_at_start({.horizon = 1, .rounds = rounds, .keep = keep}));
  };
  EXPECT_EQ(ids(beam(1, 1))[0], 0);
  EXPECT_EQ(ids(beam(3, 1)), (std::vector<TokenId>{0, 0, 0, 0, 0, 0})) << "the narrow way";
  const GenerationResult wide = beam(3, 2);
  // After two rounds 00 (.36) and 01, 10 (.24): of these 01 comes first. Then 012 beats 000.
  EXPECT_EQ(ids(wide), (std::vector<TokenId>{0, 1, 2, 2, 2, 2}));
  int kept = 0;
  for (const BranchRecord& branch : wide.branches) kept += branch.kept;
  EXPECT_EQ(kept, 1);
  EXPECT_EQ(wide.branches.size(), 3u + 2u) << "000, 001 and 012 at the end; 10 and 11 before";
  EXPECT_EQ(wide.interventions, 1);
  // Prompt; 0, 1; 00, 01; then 012 and two more. Round 1 needs no reading, rounds 2 and 3 one each.
  EXPECT_EQ(wide.cost.token_evaluations, 2 + 2 + 2 + 3);
  EXPECT_EQ(wide.cost.forward_passes, 1 + 2 + 3);
}

TEST(Branching, ABeamStaysWithinItsBudget) {
  const HandMadeModel model(two_roads);
  const auto result = answer(model, forking_at_start({.horizon = 1, .rounds = 5, .keep = 2}),
                             [](GenerationRequest& r) { r.budget.max_branches = 6; });
  EXPECT_LE(result.branches.size(), 6u);
}

TEST(Rewind, ABanThatLeavesNothingIsAnError) {
  const HandMadeModel model([](const std::vector<TokenId>&) -> std::map<TokenId, double> {
    return {{0, 1.0}};
  });
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    if (view.generated().size() == 1) return Rewind{1, true};
    return std::nullopt;
  });
  EXPECT_THROW(answer(model, sampler), Error);
}

TEST(Retrieve, InsertsWhatWasFound) {
  const HandMadeModel model([](const std::vector<TokenId>&) -> std::map<TokenId, double> {
    return {{0, 0.9}};
  });
  const ScriptedSampler sampler([](const StepView& view) -> std::optional<Action> {
    if (view.generated().size() == 1) return Retrieve{"what"};
    return std::nullopt;
  });
  std::string query;
  const auto result = answer(model, sampler, [&](GenerationRequest& request) {
    request.retrieve = [&](const std::string& q) {
      query = q;
      return "cd";
    };
  });
  EXPECT_EQ(query, "what");
  EXPECT_EQ(result.response, "acdaaa");
  EXPECT_EQ(result.retrieved_tokens, 2);
  EXPECT_EQ(result.tokens[1].source, TokenSource::kRetrieved);
  EXPECT_THROW(answer(model, sampler), Error);  // nobody to look things up
}

TEST(Retrieve, NothingFoundGoesOnOnce) {
  const HandMadeModel model([](const std::vector<TokenId>&) -> std::map<TokenId, double> {
    return {{0, 0.9}};
  });
  const auto finds_nothing = [](GenerationRequest& request) {
    request.retrieve = [](const std::string&) { return ""; };
  };
  int asked = 0;
  const ScriptedSampler once([&](const StepView&) -> std::optional<Action> {
    if (asked++ == 0) return Retrieve{"what"};
    return std::nullopt;
  });
  EXPECT_EQ(answer(model, once, finds_nothing).retrieved_tokens, 0);
  const ScriptedSampler stubborn(
      [](const StepView&) -> std::optional<Action> { return Retrieve{"what"}; });
  EXPECT_THROW(answer(model, stubborn, finds_nothing), Error);
}

TEST(EditDistance, IsNormalised) {
  EXPECT_EQ(normalized_edit_distance("", ""), 0);
  EXPECT_EQ(normalized_edit_distance("abc", ""), 1);
  EXPECT_DOUBLE_EQ(normalized_edit_distance("kitten", "sitting"), 3.0 / 7);
}

}  // namespace
}  // namespace surprisal
