#include "experiments/engine.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/experiments/fake_model.h"

namespace surprisal {
namespace {

using testing::FakeModel;
using testing::LetterTokenizer;

constexpr TokenId kEnd = 63;

/// Samples by Gumbel noise at a temperature; below `cut` nats of entropy it takes the argmax.
/// Thinks (injects two tokens) once, when `think_at` tokens have been generated.
class CutSampler : public Sampler {
 public:
  explicit CutSampler(double cut, int64_t think_at = -1) : cut_(cut), think_at_(think_at) {}
  Decision decide(const StepView& view, SamplerState*, const Draws& draws) const override {
    Decision decision;
    if (static_cast<int64_t>(view.generated().size()) == think_at_) {
      decision.action = Inject{{1, 2}, "bc"};
      decision.kind = ActionKind::kThink;
      return decision;
    }
    TokenId token = static_cast<TokenId>(view.statistics->argmax);
    if (view.statistics->entropy >= cut_) {
      double best = -1e300;
      for (size_t i = 0; i < view.logits.size(); ++i) {
        const double score = view.logits[i] + draws.gumbel(0, static_cast<uint32_t>(i));
        if (score > best) {
          best = score;
          token = static_cast<TokenId>(i);
        }
      }
    }
    decision.action = Emit{token};
    return decision;
  }

 private:
  double cut_;
  int64_t think_at_;
};

/// The plain loop that the engine must agree with.
std::vector<TokenId> generate_plainly(const FakeModel& model, const GenerationRequest& request) {
  std::vector<TokenId> context = request.prompt, answer, injecting;
  while (static_cast<int64_t>(answer.size()) < request.max_new_tokens) {
    const std::vector<float> logits = model.logits_after(context);
    const DistributionStatistics statistics = distribution_statistics(logits);
    StepView view;
    view.logits = logits;
    view.statistics = &statistics;
    view.tokens = context;
    view.prompt_length = static_cast<int64_t>(request.prompt.size());
    TokenId token;
    if (!injecting.empty()) {
      token = injecting.front();
      injecting.erase(injecting.begin());
    } else {
      const Decision decision = request.sampler->decide(
          view, nullptr, Draws(request.draws_key, static_cast<uint32_t>(context.size())));
      if (const auto* inject = std::get_if<Inject>(&decision.action)) {
        injecting = inject->tokens;
        token = injecting.front();
        injecting.erase(injecting.begin());
      } else {
        token = std::get<Emit>(decision.action).token;
        if (std::ranges::count(request.stop_tokens, token) > 0) break;
      }
    }
    context.push_back(token);
    answer.push_back(token);
  }
  return answer;
}

std::vector<TokenId> token_ids(const GenerationResult& result) {
  std::vector<TokenId> ids;
  for (const TokenRecord& record : result.tokens) ids.push_back(record.token_id);
  return ids;
}

std::map<int64_t, GenerationResult> run_all(Engine& engine,
                                            const std::vector<GenerationRequest>& requests) {
  std::map<int64_t, GenerationResult> results;
  size_t at = 0;
  engine.run(
      [&]() -> std::optional<GenerationRequest> {
        if (at == requests.size()) return std::nullopt;
        return requests[at++];
      },
      [&](GenerationResult result) { results.emplace(result.id, std::move(result)); });
  return results;
}

/// Prompts with a long common beginning, several samplers each: the shape of a sweep.
std::vector<GenerationRequest> sweep(const std::vector<CutSampler>& samplers, int64_t prompts) {
  std::vector<GenerationRequest> requests;
  for (int64_t p = 0; p < prompts; ++p)
    for (const CutSampler& sampler : samplers) {
      GenerationRequest request;
      request.id = static_cast<int64_t>(requests.size());
      for (int64_t i = 0; i < 70 + p % 3; ++i)
        request.prompt.push_back(static_cast<TokenId>(i % 60));
      request.prompt.push_back(static_cast<TokenId>(p));
      request.sampler = &sampler;
      request.draws_key = draws_key(0, std::to_string(p), 0);
      request.max_new_tokens = 20 + p;
      request.stop_tokens = {kEnd};
      requests.push_back(request);
    }
  return requests;
}

struct Setting {
  int64_t batch, prefill_chunk, blocks, logits_bytes;
  bool sharing;
};

class EngineSettings : public ::testing::TestWithParam<Setting> {};

TEST_P(EngineSettings, AgreesWithThePlainLoop) {
  const auto [batch, chunk, blocks, logits_bytes, sharing] = GetParam();
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> samplers = {CutSampler(0), CutSampler(3.2), CutSampler(3.3, 7),
                                            CutSampler(3.4), CutSampler(99, 0)};
  const auto requests = sweep(samplers, 9);
  Engine engine(model, tokenizer,
                {.batch = batch,
                 .prefill_chunk = chunk,
                 .memory_bytes = blocks * KVCache::bytes_per_block(model.config(), at::kFloat),
                 .logits_bytes = logits_bytes,
                 .sharing = sharing});
  const auto results = run_all(engine, requests);
  ASSERT_EQ(results.size(), requests.size());
  for (const GenerationRequest& request : requests)
    EXPECT_EQ(token_ids(results.at(request.id)), generate_plainly(model, request)) << request.id;
}

INSTANTIATE_TEST_SUITE_P(
    All, EngineSettings,
    ::testing::Values(Setting{1, 512, 4096, 1 << 20, true}, Setting{1, 512, 4096, 1 << 20, false},
                      Setting{4, 16, 4096, 1 << 20, true}, Setting{16, 7, 4096, 1 << 20, true},
                      Setting{16, 512, 4096, 1 << 20, false},
                      // Almost no memory: sequences and logits are forgotten and redone.
                      Setting{16, 512, 9, 1 << 20, true}, Setting{16, 512, 9, 0, true},
                      Setting{16, 512, 20, 1024, true}, Setting{5, 11, 13, 0, false}));

TEST(Engine, SharingComputesEachContextOnce) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> same(8, CutSampler(0));
  const auto requests = sweep(same, 1);
  Engine engine(model, tokenizer, {.batch = 8});
  const auto results = run_all(engine, requests);
  // Prompt, then one token per step; the last one need not be read.
  const auto length = static_cast<int64_t>(results.at(0).tokens.size());
  const bool ended = results.at(0).stop_reason == StopReason::kEndOfText;
  EXPECT_EQ(engine.counters().computed_tokens, 71 + length - (ended ? 0 : 1));
  // What each would cost alone does not depend on sharing.
  for (const auto& [id, result] : results)
    EXPECT_EQ(result.cost.token_evaluations, engine.counters().computed_tokens);
}

/// The answer of a sampler whose tokens the model reads one position late, or not.
std::vector<TokenId> answer_plainly(const FakeModel& model, const GenerationRequest& request,
                                    bool gap) {
  std::vector<TokenId> context = request.prompt, seen_by_model = request.prompt, answer;
  const auto state = request.sampler->start();
  while (static_cast<int64_t>(answer.size()) < request.max_new_tokens) {
    const std::vector<float> logits = model.logits_after(seen_by_model);
    const DistributionStatistics statistics = distribution_statistics(logits);
    StepView view;
    view.logits = logits;
    view.statistics = &statistics;
    view.tokens = context;
    view.prompt_length = static_cast<int64_t>(request.prompt.size());
    const Decision decision = request.sampler->decide(
        view, state.get(), Draws(request.draws_key, static_cast<uint32_t>(context.size())));
    const TokenId token = std::get<Emit>(decision.action).token;
    if (std::ranges::count(request.stop_tokens, token) > 0) break;
    request.sampler->observe(token, TokenSource::kSampled, state.get());
    context.push_back(token);
    seen_by_model.push_back(gap ? FakeModel::late(token) : token);
    answer.push_back(token);
  }
  return answer;
}

// `fixes: [position_gap]` decides whether a sampler's tokens are read one position late, and
// nothing else; cells with and without it share the prompt but no context behind it.
TEST(Engine, APositionIsSkippedForThoseWhoAskForIt) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  for (const std::string variant : {"v1", "ads_f0b8ea6"}) {
    const auto make = [&](const std::string& fixes) {
      return create_sampler(
          builtin_samplers(),
          parse_yaml("{type: entropix, variant: " + variant + ", fixes: " + fixes +
                         (variant == "v1" ? ", clarifying_token: 5}" : "}"),
                     "test"),
          "test", "test", {}, nullptr);
    };
    const auto faithful = make("[fixed_key]"), mended = make("[fixed_key, position_gap]");
    EXPECT_TRUE(faithful->needs().position_gap);
    EXPECT_FALSE(mended->needs().position_gap);
    std::vector<GenerationRequest> requests;
    for (int64_t id = 0; id < 6; ++id) {
      GenerationRequest request;
      request.id = id;
      request.prompt = {7, 3, static_cast<TokenId>(id / 2)};
      request.sampler = id % 2 == 0 ? faithful.get() : mended.get();
      request.draws_key = draws_key(0, "q", static_cast<uint64_t>(id / 2));
      request.max_new_tokens = 12;
      request.stop_tokens = {kEnd};
      requests.push_back(request);
    }
    for (const bool sharing : {true, false}) {
      Engine engine(model, tokenizer, {.batch = 4, .sharing = sharing});
      const auto results = run_all(engine, requests);
      size_t different = 0;
      for (const GenerationRequest& request : requests) {
        const bool gap = request.sampler == faithful.get();
        EXPECT_EQ(token_ids(results.at(request.id)), answer_plainly(model, request, gap));
        different += answer_plainly(model, request, true) != answer_plainly(model, request, false);
      }
      EXPECT_GE(2 * different, requests.size());  // the gap shows, but where an answer is short
    }
  }
}

TEST(Engine, CommonBeginningsOfPromptsAreReadOnce) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> one = {CutSampler(0)};
  auto requests = sweep(one, 6);
  for (auto& request : requests) request.max_new_tokens = 1;
  Engine engine(model, tokenizer, {.batch = 16});
  run_all(engine, requests);
  // 70 shared tokens, read once; three lengths of the rest, a last token for each prompt.
  EXPECT_LT(engine.counters().computed_tokens, 70 + 6 * 4);
}

TEST(Engine, TooLittleMemoryForOneAnswerIsAClearError) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> one = {CutSampler(0)};
  Engine engine(model, tokenizer,
                {.memory_bytes = 3 * KVCache::bytes_per_block(model.config(), at::kFloat)});
  try {
    run_all(engine, sweep(one, 1));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
  }
}

TEST(Engine, StopsAtStopStringsOfItsOwnTextOnly) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const CutSampler thinking(99, 3);
  GenerationRequest request = sweep({thinking}, 1)[0];
  request.sampler = &thinking;
  request.stop_tokens = {};
  Engine engine(model, tokenizer, {});
  const GenerationResult whole = run_all(engine, {request}).at(0);
  ASSERT_EQ(whole.response.substr(3, 2), "bc");
  ASSERT_EQ(whole.foreign.size(), 1u);
  EXPECT_EQ(whole.foreign[0].begin, 3);
  EXPECT_EQ(whole.foreign[0].end, 5);
  EXPECT_EQ(whole.stop_reason, StopReason::kLength);
  EXPECT_EQ(whole.injected_tokens, 2);
  EXPECT_EQ(whole.interventions, 1);
  EXPECT_EQ(whole.tokens[3].source, TokenSource::kInjected);
  EXPECT_EQ(whole.tokens[3].action, ActionKind::kThink);

  request.stop_strings = {"bc", whole.response.substr(2, 2), whole.response.substr(8, 3)};
  const GenerationResult cut = run_all(engine, {request}).at(0);
  EXPECT_EQ(cut.stop_reason, StopReason::kStopString);
  EXPECT_EQ(cut.response, whole.response.substr(0, 8));
}

TEST(Engine, StopsWhereTheContextEnds) {
  const FakeModel model(64, 80);
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> one = {CutSampler(0)};
  auto requests = sweep(one, 1);
  requests[0].max_new_tokens = 100;
  requests[0].stop_tokens = {};
  Engine engine(model, tokenizer, {});
  const auto result = run_all(engine, requests).at(0);
  EXPECT_EQ(result.stop_reason, StopReason::kContext);
  EXPECT_EQ(result.tokens.size(), 80u - 71u);
}

TEST(Engine, RecordsWhatPrecededEachToken) {
  const FakeModel model;
  const LetterTokenizer tokenizer;
  const std::vector<CutSampler> one = {CutSampler(99)};
  const auto requests = sweep(one, 1);
  Engine engine(model, tokenizer, {.trace = {.top_k = 3}});
  const auto result = run_all(engine, requests).at(0);
  std::vector<TokenId> context = requests[0].prompt;
  for (size_t i = 0; i < result.tokens.size(); ++i) {
    const TokenRecord& record = result.tokens[i];
    const auto logits = model.logits_after(context);
    const auto statistics = distribution_statistics(logits);
    EXPECT_EQ(record.position, static_cast<int32_t>(context.size()));
    EXPECT_FLOAT_EQ(record.entropy, static_cast<float>(statistics.entropy));
    int32_t rank = 0;
    for (const float logit : logits) rank += logit > logits[static_cast<size_t>(record.token_id)];
    EXPECT_EQ(record.rank, rank);
    EXPECT_EQ(result.nodes[i].top_k_token_id.size(), 3u);
    EXPECT_EQ(result.nodes[i].top_k_token_id[0], statistics.argmax);
    context.push_back(record.token_id);
  }
}

}  // namespace
}  // namespace surprisal
