// Rules of a chain on rows whose outcome is known. What transformers has too is compared with it in
// chain_test.cpp; published vectors are in vectors_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "samplers/trial.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// float32 logits and probabilities on their way through JSON.
constexpr double kFloat32 = 5e-6;

Json chain(const std::string& dialect, const Json& steps) {
  return {{"type", "chain"}, {"dialect", dialect}, {"steps", steps}};
}

Json step(const std::string& rule, const Json& value) {
  return Json::array({Json{{rule, value}}});
}

Json trial(Json request, const Json& sampler) {
  request["sampler"] = sampler;
  return run_trial(request, builtin_samplers(), {});
}

std::vector<int> kept(const std::vector<double>& probs, const std::string& dialect,
                      const std::string& rule, const Json& value) {
  const Json answer = trial({{"probs", probs}}, chain(dialect, step(rule, value)));
  return answer["kept_ids"].get<std::vector<int>>();
}

std::vector<double> logits_after(const Json& request, const std::string& dialect,
                                 const std::string& rule, const Json& value) {
  return trial(request, chain(dialect, step(rule, value)))["kept_logits"]
      .get<std::vector<double>>();
}

TEST(TopNSigma, DialectsDifferInTheDegreesOfFreedom) {
  const std::vector<double> row = {.01, .01, .11, .87};
  EXPECT_THAT(kept(row, "llama", "top_n_sigma", 1), ElementsAre(3));
  EXPECT_THAT(kept(row, "hf", "top_n_sigma", 1), ElementsAre(2, 3));
  EXPECT_EQ(kept(row, "llama", "top_n_sigma", 0).size(), 4U);
}

TEST(TopH, CodeAndTextDiffer) {
  const std::vector<double> row = {.6, .3, .1};
  EXPECT_THAT(kept(row, "hf", "top_h", 0.72), ElementsAre(0));
  EXPECT_THAT(kept(row, "hf", "top_h", {{"alpha", 0.72}, {"normalized", true}}), ElementsAre(0, 1));
}

TEST(PLess, UniformRowsSurvive) {
  for (const char* dialect : {"hf", "llama"})
    EXPECT_EQ(kept(std::vector<double>(7, 1.0 / 7), dialect, "p_less", 2).size(), 7U);
}

TEST(TailFree, BannedTokensAreItsTail) {
  const std::vector<double> row = {.5, .25, .125, .075, .05};
  EXPECT_THAT(kept(row, "hf", "tail_free", 0.9), ElementsAre(0, 1, 2));
  // With zeros behind them: second differences .125 .075 .025 .025 .05, running sum .417 .667 .75
  // .83
  EXPECT_THAT(kept({.5, .25, .125, .075, .05, 0, 0}, "hf", "tail_free", 0.7), ElementsAre(0, 1, 2));
  EXPECT_EQ(kept({.25, .25, .25, .25}, "hf", "tail_free", 0.5).size(), 3U);  // the last always goes
}

TEST(MinK, IsTheSteepestCliffForItsRank) {
  const Json row = {{"logits", {10, 9.8, 9.7, 2, 1.5, 1, 0.5, 0}}};
  EXPECT_THAT(trial(row, chain("hf", step("min_k", 3)))["kept_ids"], ElementsAre(0, 1, 2));
  const Json hot = Json::array({Json{{"temperature", 20}}, Json{{"min_k", 3}}});
  EXPECT_EQ(trial(row, chain("hf", hot))["kept_ids"].size(), 6U);  // floor(3 / 0.5)
}

TEST(Xtc, FiresAsOftenAsItSays) {
  const Json steps = step("xtc", {{"probability", 0.3}, {"threshold", 0.15}});
  const auto sampler = test::sampler_of(
      "{type: chain, dialect: llama, steps: [{xtc: {probability: 0.3, threshold: 0.15}}]}");
  const auto state = sampler->start();
  test::Row row({std::log(0.4F), std::log(0.3F), std::log(0.2F), std::log(0.1F)});
  int fired = 0;
  constexpr int kPositions = 20'000;
  for (uint32_t position = 0; position < kPositions; ++position) {
    const int64_t left = sampler->decide(row.view, state.get(), Draws(3, position)).kept;
    ASSERT_TRUE(left == 4 || left == 2);  // 0.4 and 0.3 go, the last above the threshold stays
    fired += left == 2;
  }
  // 5 standard deviations of a binomial: false alarm 6e-7
  EXPECT_NEAR(fired, 0.3 * kPositions, 5 * std::sqrt(kPositions * 0.21));
}

TEST(Penalties, LookWhereTheDialectLooks) {
  const Json row = {{"logits", {1, 1, 1, -1}}, {"history", {0, 3, 1, 1}}, {"prompt_length", 2}};
  EXPECT_THAT(logits_after(row, "hf", "repetition", 2.0), ElementsAre(0.5, 0.5, 1, -2));
  EXPECT_THAT(logits_after(row, "vllm", "frequency", 0.5), ElementsAre(1, 0, 1, -1));
  EXPECT_THAT(logits_after(row, "llama", "frequency", 0.5), ElementsAre(0.5, 0, 1, -1.5));
  EXPECT_THAT(logits_after(row, "vllm", "presence", 0.5), ElementsAre(1, 0.5, 1, -1));
  EXPECT_THAT(logits_after(row, "llama", "presence", {{"presence", 1}, {"last_n", 1}}),
              ElementsAre(1, 0, 1, -1));
  const Json all = {{"repeat", 2}, {"frequency", 0.5}, {"presence", 1}};
  EXPECT_THAT(logits_after(row, "llama", "penalties", all), ElementsAre(-1, -1.5, 1, -3.5));
  Json far = row;  // token 0 stands 65 tokens back
  far["history"] = std::vector<int>(65, 1);
  far["history"][0] = 0;
  EXPECT_THAT(logits_after(far, "llama", "presence", 1), ElementsAre(1, 0, 1, -1));
}

TEST(Dry, CountsTheRepetitionThatATokenWouldExtend) {
  // "5 6 7 8 ... 5 6 7": 8 would extend three tokens; "6 7 9 ... 6 7" two, by 9.
  const Json row = {{"logits", std::vector<double>(10, 0.0)},
                    {"history", {5, 6, 7, 8, 1, 6, 7, 9, 2, 5, 6, 7}}};
  const auto with = [&](const Json& extra) {
    Json params = {
        {"multiplier", 1}, {"base", 2}, {"allowed_length", 2}, {"breakers", Json::array()}};
    params.update(extra);
    return logits_after(row, "llama", "dry", params);
  };
  EXPECT_THAT(with(Json::object()), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, -2, -1));
  EXPECT_THAT(with({{"allowed_length", 3}}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, -1, 0));
  EXPECT_THAT(with({{"breakers", {{9}}}}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, -2, 0));
  EXPECT_THAT(with({{"breakers", {{5}}}}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, -1, -1));
  EXPECT_THAT(with({{"breakers", {{5, 6}}}}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(with({{"last_n", 8}}), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 0, -1));
}

TEST(Dry, LongRepetitionsStayFinite) {
  Json row = {{"logits", {0, 0}}, {"history", std::vector<int>(5000, 1)}};
  for (const char* dialect : {"hf", "llama"}) {
    const auto logits = logits_after(
        row, dialect, "dry", {{"multiplier", 1}, {"last_n", 5000}, {"breakers", Json::array()}});
    ASSERT_EQ(logits.size(), 2U) << dialect;
    EXPECT_LT(logits[1], -1e10);
  }
}

TEST(Edits, BiasAndBans) {
  const Json row = {{"logits", {0, 0, 0}}};
  EXPECT_THAT(logits_after(row, "hf", "logit_bias", {{"bias", {{"1", 2.5}, {"7", 1}}}}),
              ElementsAre(0, 2.5, 0));
  EXPECT_THAT(trial(row, chain("hf", step("banned_tokens", {0, 2})))["kept_ids"], ElementsAre(1));
  EXPECT_THROW(trial(row, chain("hf", step("banned_tokens", {0, 1, 2}))), Error);
  EXPECT_THROW(trial(row, chain("hf", step("banned_tokens", {"word"}))), Error);
}

TEST(Mirostat, AuthorsAndLlamaDiffer) {
  // p ~ 1/i: s = 1 nearly, so k = 2^mu / ln V and its rounding show.
  std::vector<double> probs;
  for (int i = 1; i <= 100; ++i) probs.push_back(1.0 / i);
  const Json settings = {{"tau", 2}, {"mu", 4}};
  const double k = 16 / std::log(100);  // 3.47
  EXPECT_EQ(kept(probs, "llama", "mirostat_v1", settings).size(), static_cast<size_t>(k));
  EXPECT_EQ(kept(probs, "hf", "mirostat_v1", settings).size(),
            static_cast<size_t>(std::round(k)) + 1);
}

TEST(Mirostat, SteersTheSurprisalToTau) {
  test::Row row(test::random_logits(5000, 3, 1.5F));
  for (const std::string rule : {"mirostat_v1", "mirostat_v2"}) {
    const auto sampler = test::sampler_of("{type: chain, dialect: llama, steps: [{" + rule +
                                          ": {tau: 4, eta: 0.05}}]}");
    const auto state = sampler->start();
    double bits = 0;
    constexpr int kTokens = 4000;
    for (uint32_t position = 0; position < kTokens; ++position) {
      const Decision decision = sampler->decide(row.view, state.get(), Draws(1, position));
      bits -= decision.sampling_logprob / std::log(2) / kTokens;
    }
    EXPECT_NEAR(bits, 4, 0.1) << rule;  // the controller's own ripple
  }
}

TEST(AdaptiveP, FollowsItsAverage) {
  const std::vector<double> probs = {.1, .2, .3, .4};
  const Json steps = step("adaptive_p", {{"target", 0.2}, {"decay", 0.5}});
  const Json answer = run_trial(
      {{"sampler", chain("llama", steps)}, {"steps", {{{"probs", probs}}, {{"probs", probs}}}}},
      builtin_samplers(), {});
  const Json& first = answer["steps"][0];
  const double chosen = probs[first["decision"]["token"].get<size_t>()];
  // sum = p + decay 0.2 / (1 - decay), weight = 1 + decay / (1 - decay)
  const double average = (chosen + 0.5 * 0.4) / 2;
  EXPECT_NEAR(first["decision_metrics"]["adaptive_p_ema"].get<double>(), average, kFloat32);
  const double aim = std::max(0.0, 0.4 - average);
  for (size_t i = 0; i < 4; ++i) {
    const double d = std::abs(probs[i] - aim) / 0.3;
    EXPECT_NEAR(answer["steps"][1]["kept_logits"][i].get<double>(), 5 - 10 * d * d / (1 + d), 2e-5);
  }
}

TEST(Temperatures, WithoutEntropyTheyPickTheOneToken) {
  EXPECT_THAT(kept({0, 1, 0}, "hf", "edt", 0.5), ElementsAre(1));
  EXPECT_THAT(kept({0, 1, 0}, "llama", "dynatemp", {{"range", 0.8}}), ElementsAre(1));
  EXPECT_THAT(kept({.2, .5, .3}, "llama", "dynatemp", {{"temp", 0}}), ElementsAre(1));
}

TEST(Presets, OrderRulesAsTheEngineDoes) {
  const auto resolved = [](const std::string& yaml) {
    Json result;
    create_sampler(builtin_samplers(), parse_yaml(yaml, "a.yaml"), "s", "a.yaml", {}, &result);
    std::string order = result["dialect"];
    for (const Json& one : result["steps"]) order += " " + one.begin().key();
    return order;
  };
  const std::string steps = "steps: [{top_p: 0.9}, {min_p: 0.1}, {temperature: 0.7}, {top_k: 20}]";
  EXPECT_EQ(resolved("{type: chain, preset: llama, " + steps + "}"),
            "llama top_k top_p min_p temperature");
  EXPECT_EQ(resolved("{type: chain, preset: hf, " + steps + "}"),
            "hf temperature top_k top_p min_p");
  EXPECT_EQ(resolved("{type: chain, preset: vllm, " + steps + "}"),
            "vllm temperature min_p top_k top_p");
  EXPECT_EQ(resolved("{type: chain, " + steps + "}"), "hf top_p min_p temperature top_k");
  EXPECT_EQ(resolved("{type: chain, preset: llama}"), "llama top_k top_p min_p temperature");
  EXPECT_EQ(resolved("{type: chain, preset: hf}"), "hf temperature top_k");
  EXPECT_EQ(resolved("{type: chain, preset: vllm}"), "vllm");
}

TEST(Presets, RefuseWhatTheEngineLacks) {
  const auto message = [](const std::string& yaml) -> std::string {
    try {
      test::sampler_of(yaml);
    } catch (const Error& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message("{type: chain, preset: llama, steps: [{eta: 0.1}]}"), HasSubstr("eta"));
  EXPECT_THAT(message("{type: chain, preset: llama, dialect: hf}"), HasSubstr("dialect"));
  EXPECT_THAT(message("{type: chain, preset: lama}"), HasSubstr("preset"));
  EXPECT_THAT(message("{type: chain, steps: [{mirostat_v2: 3}, {top_k: 4}]}"), HasSubstr("last"));
}

}  // namespace
}  // namespace surprisal
