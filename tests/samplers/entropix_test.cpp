#include "samplers/entropix/entropix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samplers/entropix/jax_random.h"
#include "samplers/trial.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

// Known answers published with Random123 (kat_vectors, threefry2x32 20 rounds).
TEST(JaxRandom, ThreefryKnownAnswers) {
  using Pair = std::array<uint32_t, 2>;
  EXPECT_EQ(threefry2x32({0, 0}, {0, 0}), (Pair{0x6b200159, 0x99ba4efe}));
  EXPECT_EQ(threefry2x32({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Pair{0x1cb996fc, 0xbb002be7}));
  EXPECT_EQ(threefry2x32({0x13198a2e, 0x03707344}, {0x243f6a88, 0x85a308d3}),
            (Pair{0xc4923a9c, 0x483df7a0}));
}

// jax 0.4.34: jax.random.split(jax.random.PRNGKey(1337), 5)
TEST(JaxRandom, SplitsAsJaxDoes) {
  EXPECT_EQ(jax_split(jax_key(1337), 5), (std::vector<JaxKey>{{528398717, 2974262264},
                                                              {2727830713, 747056452},
                                                              {1677967395, 1794344851},
                                                              {1914762264, 88217076},
                                                              {2507864501, 4205966993}}));
}

// jax 0.4.34: jax.random.exponential(jax.random.PRNGKey(1337), (1, k))[0, ::-1][:8]
TEST(JaxRandom, ExponentialsAsJaxDrawsThem) {
  const auto expect_first = [](size_t count, const std::vector<float>& expected) {
    const std::vector<float> q = jax_exponential(jax_key(1337), count);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(q[count - 1 - i], expected[i], 1e-4) << count << " " << i;  // printed digits
  };
  expect_first(27, {.1034F, .8240F, 2.6791F, .2868F, 2.7432F, .3042F, .2961F, 1.1750F});
  expect_first(40, {1.4357F, .6472F, .1967F, .3180F, 1.6634F, .1216F, 1.3712F, 2.1476F});
}

// Decisions of the real code (tests/oracle/entropix_reference.py), token for token.
TEST(Entropix, V2JaxDecidesAsTheOriginal) {
  constexpr double kFloat32Sums = 2e-5;  // the original sums in float32, we in double
  for (const Json& one : test::read_cases("entropix_v2_jax.jsonl")) {
    const Json answer = run_trial(one["request"], builtin_samplers(), {});
    EXPECT_EQ(answer["decision"]["token"], one["expected"]["token"]) << answer["state"];
    for (const auto& [name, value] : one["expected"]["metrics"].items())
      EXPECT_NEAR(answer["decision_metrics"][name].get<double>(), value.get<double>(),
                  kFloat32Sums * std::max(1.0, std::abs(value.get<double>())))
          << name;
  }
}

TEST(Entropix, FirstTokenBypassesTheSampler) {
  test::Row row(test::random_logits(64, 1, 0.01F), {1, 2, 3});
  row.view.prompt_length = 3;
  const auto sampler = test::sampler_of("{type: entropix, clarifying_token: 5}");
  EXPECT_EQ(test::emitted(sampler->decide(row.view, nullptr, Draws(0, 0))), row.statistics.argmax);
  row.view.prompt_length = 2;  // now one token was generated, and the row is flat
  row.attend(1);
  EXPECT_EQ(test::emitted(sampler->decide(row.view, nullptr, Draws(0, 0))), 5);
}

TEST(Entropix, ClarifyingTokenOnceAndNeverWhenBanned) {
  const auto sampler = test::sampler_of("{type: entropix, clarifying_token: 5}");
  test::Row asked(test::random_logits(64, 1, 0.01F), {5, 2, 3});
  asked.attend(1);
  EXPECT_NE(test::emitted(sampler->decide(asked.view, nullptr, Draws(0, 0))), 5);
  std::vector<float> logits = test::random_logits(64, 1, 0.01F);
  logits[5] = test::kBanned;
  test::Row banned(logits, {1, 2, 3});
  banned.attend(1);
  EXPECT_NE(test::emitted(sampler->decide(banned.view, nullptr, Draws(0, 0))), 5);
  EXPECT_THROW(test::sampler_of("{type: entropix}", {nullptr, 512}), Error);
}

TEST(Entropix, SaysWhatItNeedsAndWhyItRefusesRepeats) {
  const auto sampler = test::sampler_of("{type: entropix, cache_slots: 2048}");
  EXPECT_EQ(sampler->needs().padded_slots, 2048);
  ASSERT_TRUE(sampler->refuses_repeats().has_value());
  EXPECT_THAT(*sampler->refuses_repeats(), ::testing::HasSubstr("1337"));
  test::Row row(test::random_logits(64, 1), {1});
  EXPECT_THROW(sampler->decide(row.view, nullptr, Draws(0, 0)), Error);  // no attention here
}

/// A vocabulary in which every token but 2564 is "x".
class OneWordTokenizer : public Tokenizer {
 public:
  explicit OneWordTokenizer(std::string text)
      : text_(std::move(text)), word_{.bytes = text_}, other_{.bytes = "x"} {}
  std::vector<TokenId> encode(std::string_view, bool, bool) const override { return {1}; }
  const TokenPiece& piece(TokenId id) const override { return id == 2564 ? word_ : other_; }
  const DecodeRules& decode_rules() const override { return rules_; }
  int64_t vocab_size() const override { return 3000; }
  bool is_special(TokenId) const override { return false; }
  std::optional<TokenId> bos_token_id() const override { return std::nullopt; }
  std::optional<TokenId> eos_token_id() const override { return std::nullopt; }
  std::optional<TokenId> token_id(std::string_view) const override { return std::nullopt; }
  std::string description() const override { return "test"; }
  const std::string& sha256() const override { return text_; }

 private:
  std::string text_;
  TokenPiece word_, other_;
  DecodeRules rules_;
};

TEST(Entropix, IsAnUntunedPortOnOtherTokenizers) {
  const OneWordTokenizer llama3(" ..."), other(" the");
  EXPECT_EQ(test::sampler_of("{type: entropix}", {&llama3, 3000})->label(), "");
  EXPECT_EQ(test::sampler_of("{type: entropix}", {&other, 3000})->label(), "untuned port");
}

}  // namespace
}  // namespace surprisal
