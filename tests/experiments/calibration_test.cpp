#include "experiments/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "lib/error.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Quantiles of a signal that is spread evenly from 0 to `top`.
std::vector<double> even(double top) {
  std::vector<double> values;
  for (int64_t step = 0; step <= Calibration::kSteps; ++step)
    values.push_back(top * static_cast<double>(step) / Calibration::kSteps);
  return values;
}

Calibration example() {
  Calibration calibration;
  calibration.weights_sha256 = "aa";
  calibration.model = "tiny";
  calibration.dtype = "float32";
  calibration.task = "stepwise";
  calibration.split = "dev";
  calibration.data_sha256 = "bb";
  calibration.questions = 3;
  calibration.tokens = 100;
  calibration.quantiles = {{"entropy", even(10)},
                           {"varentropy", even(20)},
                           {"attention_entropy", even(5)},
                           {"attention_agreement", even(1)}};
  return calibration;
}

TEST(Calibration, EveryQuestionWeighsTheSame) {
  // One answer of a single token at 10, one of a thousand tokens at 1: half of the weight each.
  const std::vector<double> quantiles =
      question_weighted_quantiles({{10}, std::vector<double>(1000, 1.0), {}});
  EXPECT_EQ(quantiles.front(), 1);
  EXPECT_EQ(quantiles[500], 1);
  EXPECT_EQ(quantiles[501], 10);
  EXPECT_EQ(quantiles.back(), 10);
}

TEST(Calibration, QuantilesOfEvenWeights) {
  std::vector<double> values;
  for (int i = 1; i <= 10; ++i) values.push_back(i);
  const std::vector<double> quantiles = question_weighted_quantiles({values});
  for (const auto& [step, value] :
       {std::pair{0, 1}, {1, 1}, {100, 1}, {101, 2}, {500, 5}, {900, 9}, {901, 10}, {1000, 10}})
    EXPECT_EQ(quantiles[static_cast<size_t>(step)], value) << step;
}

TEST(Calibration, ResolvesByTheNameOfTheThreshold) {
  const YAML::Node sampler = YAML::Load(R"(
type: quadrant
entropy_cut: q0.90
varentropy_cut: q0.25
think: {calm_entropy: q0.5, text: q0.5}
high_low: {action: think, agreement_below: q0.1, attention_entropy_above: q1}
)");
  const Calibration calibration = example();
  std::vector<ResolvedQuantile> resolved;
  const YAML::Node result = resolve_quantiles(sampler, &calibration, "test", &resolved);
  EXPECT_EQ(result["entropy_cut"].as<double>(), 9);
  EXPECT_EQ(result["varentropy_cut"].as<double>(), 5);
  EXPECT_EQ(result["think"]["calm_entropy"].as<double>(), 5);
  EXPECT_EQ(result["think"]["text"].as<std::string>(), "q0.5");
  EXPECT_EQ(result["high_low"]["agreement_below"].as<double>(), 0.1);
  EXPECT_EQ(result["high_low"]["attention_entropy_above"].as<double>(), 5);
  EXPECT_EQ(sampler["entropy_cut"].as<std::string>(), "q0.90");
  ASSERT_EQ(resolved.size(), 5u);
  EXPECT_EQ(resolved[3].key, "high_low.agreement_below");
  EXPECT_EQ(resolved[3].signal, "attention_agreement");
  EXPECT_EQ(resolved[3].quantile, "q0.1");
}

TEST(Calibration, SaysWhereItsTokensAreTooFew) {
  const Calibration calibration = example();  // of 100 tokens
  const auto resolve = [&](const char* quantile) {
    YAML::Node sampler;
    sampler["entropy_cut"] = quantile;
    resolve_quantiles(sampler, &calibration, "test", nullptr);
  };
  for (const char* fine : {"q0.1", "q0.5", "q0.9", "q0", "q1"}) EXPECT_NO_THROW(resolve(fine));
  for (const char* few : {"q0.099", "q0.901", "q0.999"})
    EXPECT_THAT([&] { resolve(few); },
                ThrowsMessage<Error>(HasSubstr("saw 100 tokens, and at least 10")));
}

TEST(Calibration, LeavesNumbersAlone) {
  const YAML::Node sampler = YAML::Load("{type: quadrant, entropy_cut: 2.5}");
  EXPECT_TRUE(resolve_quantiles(sampler, nullptr, "test", nullptr).is(sampler));
}

TEST(Calibration, RefusesWhatItCannotResolve) {
  const Calibration calibration = example();
  const auto refusal = [](const std::string& yaml, const Calibration* known) {
    return [=] { resolve_quantiles(YAML::Load(yaml), known, "a.yaml: sampler 'x'", nullptr); };
  };
  EXPECT_THAT(refusal("{entropy_cut: q0.9}", nullptr),
              ThrowsMessage<Error>(HasSubstr("calibrate MODEL --task")));
  for (const char* bad : {"q1.1", "q0.9005", "q0.9x", "q1e-9", "q."})
    EXPECT_THAT(refusal(std::string("{entropy_cut: ") + bad + "}", &calibration),
                ThrowsMessage<Error>(HasSubstr("at most three decimals")))
        << bad;
  EXPECT_THAT(refusal("{max_probability_cut: q0.1}", &calibration),
              ThrowsMessage<Error>(HasSubstr("did not record max_probability")));
  EXPECT_THAT(refusal("{layers: [1], low_low: {agreement_below: q0.1}}", &calibration),
              ThrowsMessage<Error>(HasSubstr("over all layers")));
}

TEST(Calibration, FilesReadBack) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/calibration.json";
  const Json json = calibration_json(example());
  std::ofstream(path) << json.dump();
  const Calibration back = read_calibration(path);
  EXPECT_EQ(back.quantiles, example().quantiles);
  EXPECT_EQ(back.weights_sha256, "aa");
  EXPECT_EQ(back.questions, 3);

  const auto refused = [&](const Json& changed) {
    std::ofstream(path) << changed.dump();
    return [&] { read_calibration(path); };
  };
  Json changed = json;
  changed["format"] = "other";
  EXPECT_THAT(refused(changed), ThrowsMessage<Error>(HasSubstr("not a calibration")));
  changed = json;
  changed["quantiles"]["entropy"] = {1, 2};
  EXPECT_THAT(refused(changed), ThrowsMessage<Error>(HasSubstr("1001 rising numbers")));
  changed = json;
  changed["quantiles"]["entropy"][0] = 1e9;
  EXPECT_THAT(refused(changed), ThrowsMessage<Error>(HasSubstr("1001 rising numbers")));
  changed = json;
  changed.erase("model");
  EXPECT_THAT(refused(changed), ThrowsMessage<Error>(HasSubstr("not a calibration")));
}

}  // namespace
}  // namespace surprisal
