#include "samplers/entropix/entropix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "samplers/entropix/defects.h"
#include "samplers/entropix/jax_random.h"
#include "samplers/entropix/metrics.h"
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
class EntropixOracle : public testing::TestWithParam<const char*> {};

TEST_P(EntropixOracle, DecidesAsTheOriginal) {
  constexpr double kFloat32Sums = 2e-5;  // the original sums in float32, we in double
  for (const Json& one : test::read_cases(std::string("entropix_") + GetParam() + ".jsonl")) {
    const Json answer = run_trial(one["request"], builtin_samplers(), {});
    EXPECT_EQ(answer["decision"]["token"], one["expected"]["token"]) << answer["state"];
    for (const auto& [name, value] : one["expected"]["metrics"].items())
      EXPECT_NEAR(answer["decision_metrics"][name].get<double>(), value.get<double>(),
                  kFloat32Sums * std::max(1.0, std::abs(value.get<double>())))
          << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, EntropixOracle,
                         testing::Values("v1", "v2_jax", "v2_torch", "v3_70b", "v4_server"),
                         [](const auto& instance) { return std::string(instance.param); });

// What of the real ADS does not hang on its draws (tests/oracle/ads_reference.py).
TEST(EntropixAds, AveragesMoveAsTheOriginals) {
  constexpr double kFloat32Sums = 2e-4;
  constexpr double kBfloat16 = 1.0 / 128;  // the temperature's own precision
  for (const std::string variant : {"ads_e982dd5", "ads_f0b8ea6", "ads_head"}) {
    for (const Json& one : test::read_cases("entropix_" + variant + ".jsonl")) {
      const Json answer = run_trial(one["request"], builtin_samplers(), {});
      for (size_t step = 0; step < one["expected"].size(); ++step) {
        SCOPED_TRACE(variant + " step " + std::to_string(step));
        const Json& got = answer["steps"][step];
        for (const auto& [name, value] : one["expected"][step].items()) {
          if (name == "token") {
            EXPECT_EQ(got["decision"]["token"], value);
            continue;
          }
          if (name == "case") {
            EXPECT_EQ(got["state"] == "high_low", value == "asks") << got["state"];
            EXPECT_EQ(got["decision"]["token"] == 5, value == "asks");
            EXPECT_EQ(got["state"] == "high_high", value == "resamples") << got["state"];
            continue;
          }
          const double tolerance = name == "emwa_temp" ? kBfloat16 : kFloat32Sums;
          EXPECT_NEAR(got["decision_metrics"][name].get<double>(), value.get<double>(),
                      tolerance * std::max(1.0, std::abs(value.get<double>())))
              << name;
        }
      }
    }
  }
}

// With ads_nan mended the averages stay numbers; as published they do not.
TEST(EntropixAds, NanStaysUntilMended) {
  const auto cross_entropy = [](const std::string& fixes) {
    const auto sampler =
        test::sampler_of("{type: entropix, variant: ads_f0b8ea6, fixes: " + fixes + "}");
    const auto state = sampler->start();
    double last = 0;
    for (uint32_t position = 0; position < 6; ++position) {
      test::Row row(test::random_logits(60, position), {1, 2, 3});
      const Decision decision = sampler->decide(row.view, state.get(), Draws(1, position));
      for (const auto& [name, value] : decision.metrics)
        if (name == "token_cross_ent_naked") last = value;
    }
    return last;
  };
  EXPECT_TRUE(std::isnan(cross_entropy("none")));
  EXPECT_TRUE(std::isfinite(cross_entropy("all")));
}

// ads_head hands back the state it was given: the moving averages stand still until that is mended.
TEST(EntropixAds, HeadsStateIsStaleUntilMended) {
  const auto moves = [](const std::string& fixes) {
    const auto sampler = test::sampler_of(
        "{type: entropix, variant: ads_head, clarifying_token: 5, fixes: " + fixes + "}");
    const auto state = sampler->start();
    std::set<double> temperatures;
    for (uint32_t position = 0; position < 5; ++position) {
      // The first row starts the averages; the others differ from it, varentropy below 2.5.
      const unsigned seed = position == 0 ? 7 : 1;
      test::Row row(test::random_logits(60, seed, 1.0F), {1, 2, 3});
      const Decision decision = sampler->decide(row.view, state.get(), Draws(1, 0));
      for (const auto& [name, value] : decision.metrics)
        if (name == "emwa_ent_naked") temperatures.insert(value);
    }
    return temperatures.size();
  };
  EXPECT_EQ(moves("none"), 2U);  // as started, and one step from there
  EXPECT_EQ(moves("[ads_stale_state, ads_nan]"), 5U);
}

/// The decision on a row of the middle ground, where every variant draws.
Decision drawn(const std::string& variant, const std::string& fixes, uint32_t position = 9,
               const std::string& more = "", bool first_token = false) {
  test::Row row(test::random_logits(300, 5, 2.5F), {1, 2, 3});
  row.view.prompt_length = first_token ? 3 : 1;
  row.view.want_distribution = true;
  row.attend(1);
  const auto sampler = test::sampler_of("{type: entropix, variant: " + variant +
                                        ", fixes: " + fixes + ", clarifying_token: 5" + more + "}");
  const auto state = sampler->start();
  return sampler->decide(row.view, state.get(), Draws(4, position));
}

std::set<TokenId> kept(const Decision& decision) {
  std::set<TokenId> tokens;
  for (const Candidate& candidate : decision.distribution) tokens.insert(candidate.token);
  return tokens;
}

TEST(EntropixFixes, TopPKeepsTheHeadInsteadOfTheTail) {
  const TokenId best = drawn("v2_jax", "none", 0, "", true).distribution[0].token;  // argmax
  const std::string narrow = ", top_p: 0.3, top_k: 300";
  EXPECT_FALSE(kept(drawn("v1", "none")).empty());
  EXPECT_FALSE(kept(drawn("v2_jax", "none", 9, narrow)).contains(best));
  EXPECT_TRUE(kept(drawn("v2_jax", "top_p_inverted", 9, narrow)).contains(best));
}

TEST(EntropixFixes, MinPActs) {
  const std::string strict = ", min_p: 0.9, ada_min_p: 0";
  EXPECT_GT(drawn("v2_jax", "none", 9, strict).kept, drawn("v2_jax", "min_p_dead", 9, strict).kept);
}

TEST(EntropixFixes, DrawsOfItsOwnVaryAndMayBeRepeated) {
  for (const std::string variant : {"v1", "v2_jax", "v2_torch", "v3_70b", "v4_server"}) {
    std::set<TokenId> faithful, fixed;
    for (uint32_t position = 0; position < 30; ++position) {
      faithful.insert(test::emitted(drawn(variant, "none", position)));
      fixed.insert(test::emitted(drawn(variant, "[fixed_key]", position)));
    }
    EXPECT_EQ(faithful.size(), 1U) << variant;
    EXPECT_GT(fixed.size(), 3U) << variant;
    const std::string yaml = "{type: entropix, variant: " + variant;
    EXPECT_TRUE(test::sampler_of(yaml + "}")->refuses_repeats().has_value());
    EXPECT_FALSE(test::sampler_of(yaml + ", fixes: fixed_key}")->refuses_repeats().has_value());
  }
}

TEST(EntropixFixes, TheTorchGeneratorGoesOn) {
  const auto sampler = test::sampler_of("{type: entropix, variant: v2_torch}");
  test::Row row(test::random_logits(300, 5, 2.5F), {1, 2, 3});
  row.attend(1);
  const auto state = sampler->start();
  std::set<TokenId> tokens;
  for (int i = 0; i < 20; ++i)
    tokens.insert(test::emitted(sampler->decide(row.view, state.get(), Draws(0, 0))));
  EXPECT_GT(tokens.size(), 3U);
}

TEST(EntropixFixes, FirstTokenIsSampledToo) {
  EXPECT_EQ(drawn("v2_jax", "none", 9, "", true).kept, 1);
  EXPECT_GT(drawn("v2_jax", "first_token_argmax", 9, "", true).kept, 1);
}

TEST(EntropixFixes, OneDrawInsteadOfTheLikeliestOfFive) {
  const auto mean_logprob = [](const std::string& fixes) {
    double sum = 0;
    for (uint32_t position = 0; position < 300; ++position)
      sum += drawn("v3_70b", fixes, position).sampling_logprob / 300;
    return sum;
  };
  EXPECT_GT(mean_logprob("[fixed_key]"),
            mean_logprob("[fixed_key, best_of_five_by_likelihood]") + 0.3);
}

double metric(const Decision& decision, const std::string& name) {
  for (const auto& [key, value] : decision.metrics)
    if (key == name) return value;
  return kUnknown;
}

TEST(EntropixFixes, AttentionOverTheKeysThereAre) {
  const double padded = metric(drawn("v2_jax", "none"), "attn_entropy");  // of 64 slots
  const double visible = metric(drawn("v2_jax", "padded_attention"), "attn_entropy");  // of 20
  EXPECT_GT(padded, visible);
  EXPECT_LE(visible, std::log2(20));
  const double scaled = metric(drawn("v2_jax", "[padded_attention, agreement_scale]"), "agreement");
  test::Row row(test::random_logits(10, 1), {1});
  row.attend(1);
  EXPECT_NEAR(scaled, row.attention.layer(1, LayerStatistic::kAgreement), 1e-6);
  const double head_varentropy =
      metric(drawn("v2_jax", "[padded_attention, head_variance_as_varentropy]"), "attn_varentropy");
  double mean = 0;
  for (int64_t head = 0; head < 3; ++head)
    mean += row.attention.head(1, head, HeadStatistic::kVarentropy) / 3;
  EXPECT_NEAR(head_varentropy, mean / (std::log(2) * std::log(2)), 1e-4);
}

// The closed form for empty slots against the plain sum over all of them.
TEST(EntropixFixes, VarentropyOfAPaddedHead) {
  std::vector<float> scores = test::random_logits(20, 3), padded = scores;
  padded.resize(64, 0.0F);
  const DistributionStatistics plain = distribution_statistics(padded);
  const Json answer = run_trial(
      {{"logits", {1, 2, 3}},
       {"history", {1}},
       {"attention_scores", {padded}},
       {"valid_slots", 20},
       {"sampler",
        {{"type", "entropix"}, {"fixes", "head_variance_as_varentropy"}, {"clarifying_token", 0}}}},
      builtin_samplers(), {});
  const double bits = plain.varentropy / (std::log(2) * std::log(2));
  EXPECT_NEAR(answer["decision_metrics"]["attn_varentropy"].get<double>(), bits, 1e-4);
}

TEST(EntropixFixes, TorchRaceBecomesADraw) {
  // p / q with q uniform favours the likelier token beyond its share: .7 of {.7, .3} comes out as
  // 1 - .3 / (2 .7) = .786; with fixed keys of its own the share of draws shows it.
  const auto share = [](const std::string& fixes) {
    const auto sampler = test::sampler_of(
        "{type: entropix, variant: v2_torch, n_adaptive_samples: 1, top_p: 1, ada_temp_logits: 0, "
        "ada_temp_attn: 0, ada_temp_agree: 0, temp: 1, fixes: " +
        fixes + "}");
    test::Row row({std::log(0.7F), std::log(0.3F)}, {0, 1});
    row.attend(1);
    int first = 0;
    constexpr int kDraws = 20'000;
    for (uint32_t i = 0; i < kDraws; ++i)
      first += test::emitted(sampler->decide(row.view, nullptr, Draws(1, i))) == 0;
    return static_cast<double>(first) / kDraws;
  };
  constexpr double kFiveDeviations = 0.017;  // of a share of 20,000 draws
  EXPECT_NEAR(share("[fixed_key]"), 1 - 0.3 / 1.4, kFiveDeviations);
  EXPECT_NEAR(share("[fixed_key, torch_uniform_race]"), 0.7, kFiveDeviations);
}

TEST(EntropixFixes, AsksAgainOnlyWhereItMay) {
  const auto asks = [](const std::string& variant, const std::string& fixes,
                       std::vector<TokenId> answer) {
    const auto sampler = test::sampler_of("{type: entropix, variant: " + variant +
                                          ", fixes: " + fixes + ", clarifying_token: 5}");
    test::Row row(test::random_logits(64, 1, 0.01F), std::move(answer));
    row.attend(1, 2, 3, 20, 20);
    const auto state = sampler->start();
    return test::emitted(sampler->decide(row.view, state.get(), Draws(0, 0))) == 5;
  };
  for (const std::string variant : {"v1", "v2_jax"}) {
    EXPECT_FALSE(asks(variant, "none", {5, 1, 2}));  // anywhere in the answer
    EXPECT_TRUE(asks(variant, "history_axis", {5, 1, 2}));
    EXPECT_FALSE(asks(variant, "history_axis", {1, 2, 5}));
  }
  EXPECT_TRUE(asks("v2_torch", "none", {5, 1, 2}));
  EXPECT_FALSE(asks("v2_torch", "none", {1, 2, 5}));
}

TEST(EntropixFixes, Bfloat16RoundsTheLogits) {
  const auto entropy = [](const std::string& fixes) {
    return drawn("v2_jax", fixes, 9, ", precision: bfloat16").decision_entropy;
  };
  EXPECT_EQ(entropy("none"), to_bf16(static_cast<float>(entropy("none"))));
  EXPECT_NE(entropy("bf16_metrics"), entropy("none"));
  EXPECT_EQ(to_bf16(1.00390625F), 1.0F);  // half way goes to the even one
  EXPECT_EQ(to_bf16(1.01171875F), 1.015625F);
}

TEST(EntropixFixes, AreReadStrictly) {
  const auto resolved = [](const std::string& fixes) {
    Json result;
    create_sampler(builtin_samplers(),
                   parse_yaml("{type: entropix, variant: v1, fixes: " + fixes + "}", "a.yaml"), "s",
                   "a.yaml", {}, &result);
    return result["fixes"];
  };
  EXPECT_EQ(resolved("none"), Json::array());
  EXPECT_EQ(resolved("all"), resolved("[fixed_key, top_p_inverted, first_token_argmax, "
                                      "hardcoded_2564, history_axis, position_gap, bf16_metrics]"));
  EXPECT_EQ(resolved("[all, -fixed_key]").size(), resolved("all").size() - 1);
  EXPECT_EQ(resolved("all -fixed_key"), resolved("[all, -fixed_key]"));
  try {
    test::sampler_of("{type: entropix, variant: v1, fixes: [min_p_dead]}");
    ADD_FAILURE() << "v1 has no min_p";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("top_p_inverted"));
  }
}

// The README's table of defects is the code's.
TEST(EntropixDefects, TableInTheReadmeIsTheCodes) {
  std::ifstream file(std::string(SURPRISAL_SOURCE_DIR) + "/samplers/README.md");
  const std::string readme(std::istreambuf_iterator<char>(file), {});
  for (const DefectEntry& entry : entropix_defects()) {
    std::string row = "|";
    for (const std::string_view cell :
         {entry.name, entry.variants, entry.published, entry.corrected, entry.evidence})
      row += " " + std::string(cell) + " |";
    EXPECT_NE(readme.find(row), std::string::npos) << row;
    for (const std::string_view variant : kEntropixVariantNames)
      if ((" " + std::string(entry.variants) + " ").find(" " + std::string(variant) + " ") !=
          std::string::npos) {
        EXPECT_NO_THROW(test::sampler_of("{type: entropix, variant: " + std::string(variant) +
                                         ", fixes: " + std::string(entry.name) + "}"));
      }
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
