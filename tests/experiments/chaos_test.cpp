// Every kind of decision at random, carried out in every awkward way: what comes out must not
// depend on it, and what it costs must be what a model that counts for itself was asked.

#include <gtest/gtest.h>

#include <set>

#include "experiments/strategies/strategy.h"
#include "lib/draws.h"
#include "lib/top_logits.h"
#include "samplers/greedy.h"
#include "tests/experiments/hand_made_model.h"

namespace surprisal {
namespace {

using testing::FakeModel;
using testing::LetterTokenizer;

constexpr int64_t kVocabulary = 8;
constexpr TokenId kEnd = 7;

/// Counts what it is asked, context by context, and knows nothing of trees or caches.
class CountingModel : public FakeModel {
 public:
  CountingModel() : FakeModel(kVocabulary, 256) {}
  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override {
    for (const ModelRow& row : rows) fed += static_cast<int64_t>(row.tokens.size());
    return FakeModel::forward(rows, cache, request);
  }
  std::vector<float> logits_after(std::span<const TokenId> context) const override {
    asked.emplace(context.begin(), context.end());
    return FakeModel::logits_after(context);
  }
  /// Distinct contexts beyond the prompt, and the prompt's tokens.
  int64_t evaluations(size_t prompt) const {
    int64_t count = static_cast<int64_t>(prompt);
    for (const auto& context : asked) count += context.size() > prompt;
    return count;
  }
  mutable std::set<std::vector<TokenId>> asked;
  mutable int64_t fed = 0;
};

/// Decides at random on anything, but the same at the same place of the same answer.
class Chaotic : public Sampler {
 public:
  struct Memory : SamplerState {
    std::unique_ptr<SamplerState> clone() const override { return std::make_unique<Memory>(*this); }
    int rewinds = 0, look_ups = 0;
  };
  explicit Chaotic(uint64_t seed) : seed_(seed) {}

  std::unique_ptr<SamplerState> start() const override { return std::make_unique<Memory>(); }
  void carry_ledger(const SamplerState* latest, SamplerState* restored) const override {
    static_cast<Memory&>(*restored) = static_cast<const Memory&>(*latest);
  }
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    auto& memory = static_cast<Memory&>(*state);
    Decision decision;
    const Draws own(seed_, static_cast<uint32_t>(view.tokens.size()), 7,
                    static_cast<uint32_t>(memory.rewinds));
    const auto one_of = [&](uint32_t draw, int64_t count) {
      return static_cast<int64_t>(own.uniform(draw) * static_cast<double>(count));
    };
    const int64_t kind = one_of(0, 24);
    const auto taken = static_cast<int64_t>(view.generated().size());
    decision.action = Emit{likeliest_with_noise(view, draws)};
    if (kind == 0 && view.may_inject && view.remaining_tokens > 3) {
      decision.action = Inject{{1, 2}, "bc"};
      decision.kind = ActionKind::kThink;
    } else if (kind <= 3 && kind > 0 && view.may_branch) {
      decision.action = fork(view, one_of(1, 3), one_of(2, 7), one_of(3, 4));
      decision.kind = ActionKind::kBranch;
    } else if (kind == 4 && memory.rewinds < 3 && taken > 0 && view.may_rewind) {
      ++memory.rewinds;
      decision.action = Rewind{1 + one_of(1, std::min<int64_t>(taken, 4)), one_of(2, 2) == 0};
      decision.kind = ActionKind::kRewind;
    } else if (kind == 5 && memory.look_ups++ < 2) {
      decision.action = Retrieve{"what"};
    } else if (kind == 6 && view.may_inject) {
      decision.action = AskUser{"which?", {"de", "f"}};
    }
    return decision;
  }

 private:
  static TokenId likeliest_with_noise(const StepView& view, const Draws& draws) {
    TokenId best = 0;
    double highest = -1e300;
    for (size_t i = 0; i < view.logits.size(); ++i) {
      const double score = view.logits[i] + draws.gumbel(0, static_cast<uint32_t>(i));
      if (score > highest) {
        highest = score;
        best = static_cast<TokenId>(i);
      }
    }
    return best;
  }
  static Branch fork(const StepView& view, int64_t more, int64_t longer, int64_t rule) {
    static const Greedy greedy;
    Branch branch;
    for (const auto& [token, logit] : top_logits(view.logits, static_cast<size_t>(2 + more)))
      branch.candidates.push_back(token);
    branch.plan.horizon = 1 + longer;
    branch.plan.rounds = 1 + rule % 2;
    branch.plan.keep = 1 + rule % 2;
    branch.plan.margin = rule == 3 ? 10 : 0;
    branch.plan.stop_at =
        rule == 1 ? BranchPlan::StopAt::kLowEntropy : BranchPlan::StopAt::kHorizon;
    branch.plan.rollout = rule == 2 ? &greedy : nullptr;
    return branch;
  }
  uint64_t seed_;
};

std::vector<GenerationRequest> requests(const std::vector<std::unique_ptr<Chaotic>>& samplers) {
  std::vector<GenerationRequest> all;
  for (size_t i = 0; i < samplers.size(); ++i) {
    GenerationRequest& request = all.emplace_back();
    request.id = static_cast<int64_t>(i);
    for (size_t t = 0; t < 20 + i % 3; ++t) request.prompt.push_back(static_cast<TokenId>(t % 6));
    request.sampler = samplers[i].get();
    request.draws_key = i % 5;
    request.max_new_tokens = 24;
    request.stop_tokens = {kEnd};
    request.budget.max_branches = 12;
    request.retrieve = [](const std::string&) { return "cd"; };
    request.ask = ask_policy("random");
  }
  return all;
}

std::vector<GenerationResult> run(Engine& engine, const std::vector<GenerationRequest>& all) {
  std::vector<GenerationResult> results(all.size());
  size_t at = 0;
  engine.run(
      [&]() -> std::optional<GenerationRequest> {
        if (at == all.size()) return std::nullopt;
        return all[at++];
      },
      [&](GenerationResult result) {
        results[static_cast<size_t>(result.id)] = std::move(result);
      });
  return results;
}

void expect_same(const GenerationResult& one, const GenerationResult& other) {
  EXPECT_EQ(testing::ids(one), testing::ids(other));
  EXPECT_EQ(one.response, other.response);
  EXPECT_EQ(one.stop_reason, other.stop_reason);
  EXPECT_EQ(one.discarded_tokens, other.discarded_tokens);
  EXPECT_EQ(one.interventions, other.interventions);
  EXPECT_EQ(one.cost.token_evaluations, other.cost.token_evaluations);
  EXPECT_EQ(one.cost.forward_passes, other.cost.forward_passes);
  EXPECT_DOUBLE_EQ(one.cost.flops, other.cost.flops);
  ASSERT_EQ(one.events.size(), other.events.size());
  for (size_t i = 0; i < one.events.size(); ++i)
    EXPECT_EQ(one.events[i].detail, other.events[i].detail);
  ASSERT_EQ(one.branches.size(), other.branches.size());
  for (size_t i = 0; i < one.branches.size(); ++i) {
    EXPECT_EQ(one.branches[i].text, other.branches[i].text);
    EXPECT_EQ(one.branches[i].kept, other.branches[i].kept);
  }
}

std::vector<std::unique_ptr<Chaotic>> samplers(size_t count) {
  std::vector<std::unique_ptr<Chaotic>> all;
  for (uint64_t seed = 0; seed < count; ++seed) all.push_back(std::make_unique<Chaotic>(seed));
  return all;
}

/// Tokens recounted from the record alone.
void expect_counts(const GenerationResult& result) {
  int64_t injected = 0, retrieved = 0, discarded = 0;
  for (const TokenRecord& token : result.tokens) {
    injected += token.source == TokenSource::kInjected;
    retrieved += token.source == TokenSource::kRetrieved;
  }
  for (const BranchRecord& branch : result.branches) discarded += branch.kept ? 0 : branch.length;
  EXPECT_EQ(result.generated_tokens, static_cast<int64_t>(result.tokens.size()));
  EXPECT_EQ(result.injected_tokens, injected);
  EXPECT_EQ(result.retrieved_tokens, retrieved);
  EXPECT_EQ(result.discarded_tokens, discarded);
}

/// Floating-point operations of one token after `before` others, term by term.
double flops_of_token(const ModelConfig& c, int64_t before) {
  const auto times = [](int64_t a, int64_t b) { return 2.0 * static_cast<double>(a * b); };
  const int64_t queries = c.num_attention_heads * c.head_dim;
  const int64_t keys = c.num_key_value_heads * c.head_dim;
  double layer = times(c.hidden_size, queries) + 2 * times(c.hidden_size, keys) +
                 times(queries, c.hidden_size) + 3 * times(c.hidden_size, c.intermediate_size);
  layer += 2 * times(before + 1, queries);  // scores, and the weighted sum of values
  return layer * static_cast<double>(c.num_hidden_layers);
}

TEST(Chaos, CostsWhatAModelThatCountsWasAsked) {
  const LetterTokenizer tokenizer(kVocabulary);
  const auto all = samplers(200);
  int64_t kinds[std::size(kEventNames)] = {};
  for (const GenerationRequest& request : requests(all)) {
    const CountingModel model;
    Engine engine(model, tokenizer, {.batch = 1, .memory_bytes = 1 << 20});
    GenerationRequest first = request;
    first.id = 0;
    const GenerationResult result = run(engine, {first}).at(0);
    const size_t prompt = request.prompt.size();
    EXPECT_EQ(result.cost.token_evaluations, model.evaluations(prompt));
    EXPECT_EQ(model.fed, model.evaluations(prompt)) << "nothing twice";
    EXPECT_EQ(engine.counters().computed_tokens, model.fed);
    double flops = 0;
    for (size_t p = 0; p < prompt; ++p)
      flops += flops_of_token(model.config(), static_cast<int64_t>(p));
    for (const auto& context : model.asked) {
      if (context.size() > prompt)
        flops += flops_of_token(model.config(), static_cast<int64_t>(context.size()) - 1);
      flops += 2.0 * static_cast<double>(kVocabulary);  // the head, of width 1
    }
    EXPECT_NEAR(result.cost.flops, flops, 1e-6 * flops);
    EXPECT_LE(result.cost.forward_passes, result.cost.token_evaluations);
    expect_counts(result);
    for (const EventRecord& event : result.events) ++kinds[static_cast<size_t>(event.kind)];
  }
  for (const EventKind kind : {EventKind::kThink, EventKind::kBranch, EventKind::kAsk,
                               EventKind::kRetrieve, EventKind::kRewind})
    EXPECT_GT(kinds[static_cast<size_t>(kind)], 20) << "the test must not miss what it is about";
}

TEST(Chaos, BatchMemoryAndSharingChangeNothing) {
  const LetterTokenizer tokenizer(kVocabulary);
  const auto all = samplers(60);
  const auto asked = requests(all);
  const CountingModel alone;
  Engine plain(alone, tokenizer, {.batch = 1, .sharing = false});
  const std::vector<GenerationResult> expected = run(plain, asked);
  int64_t cost = 0;
  for (const GenerationResult& result : expected) cost += result.cost.token_evaluations;
  EXPECT_EQ(plain.counters().computed_tokens, cost) << "each answer pays for itself";
  const int64_t block = KVCache::bytes_per_block(alone.config(), at::kFloat);
  for (const EngineOptions& options :
       {EngineOptions{.batch = 3}, EngineOptions{.batch = 7, .prefill_chunk = 5},
        EngineOptions{.batch = 16, .sharing = false},
        // As little memory as one answer needs: work is preempted all the time.
        EngineOptions{.batch = 16, .memory_bytes = 4 * block},
        EngineOptions{.batch = 5, .memory_bytes = 5 * block, .logits_bytes = 0},
        EngineOptions{
            .batch = 16, .memory_bytes = 6 * block, .logits_bytes = 200, .sharing = false}}) {
    const CountingModel model;
    Engine engine(model, tokenizer, options);
    const std::vector<GenerationResult> results = run(engine, asked);
    for (size_t i = 0; i < asked.size(); ++i) expect_same(results[i], expected[i]);
  }
}

TEST(Chaos, SharingComputesEachDistinctContextExactlyOnce) {
  const LetterTokenizer tokenizer(kVocabulary);
  const auto all = samplers(60);
  auto asked = requests(all);
  for (GenerationRequest& request : asked) request.prompt = asked[0].prompt;
  const CountingModel model;
  Engine engine(model, tokenizer, {.batch = 9});
  int64_t alone = 0;
  for (const GenerationResult& result : run(engine, asked)) alone += result.cost.token_evaluations;
  EXPECT_EQ(engine.counters().computed_tokens, model.evaluations(asked[0].prompt.size()));
  EXPECT_EQ(engine.counters().computed_tokens, model.fed);
  EXPECT_LT(engine.counters().computed_tokens, alone);
}

}  // namespace
}  // namespace surprisal
