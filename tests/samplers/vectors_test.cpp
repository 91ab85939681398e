// Published results of llama.cpp's and transformers' own tests, and decisions of the real Entropix
// samplers. They lie beside the checkout where they may be had, and are no part of it: set
// SURPRISAL_VECTORS to their folder.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "samplers/chain_step.h"
#include "samplers/trial.h"
#include "tests/samplers/sampler_fixture.h"

namespace surprisal {
namespace {

std::string vectors_folder() {
  const char* folder = std::getenv("SURPRISAL_VECTORS");
  return folder ? folder : std::string(SURPRISAL_SOURCE_DIR) + "/../shared/vectors";
}

/// The file, or null where there is none.
Json vectors(const std::string& name) {
  const std::string path = vectors_folder() + "/" + name;
  if (!std::filesystem::exists(path)) return nullptr;
  return read_json_file(path);
}

/// A vector's row: as it is, or by the closed form that its generator names.
Json row_of(const Json& input) {
  if (input.contains("logits")) return {{"logits", input["logits"]}};
  if (input.contains("probs")) return {{"probs", input["probs"]}};
  Json logits = Json::array({nullptr});  // logit_i = ln i, logit_0 = -inf
  for (int i = 1; i < 10'000; ++i) logits.push_back(std::log(static_cast<double>(i)));
  return {{"logits", logits}};
}

void expect_answer(const Json& answer, const Json& expected, double tolerance) {
  const auto kept = answer["kept_ids"].get<std::vector<int64_t>>();
  EXPECT_EQ(answer["kept_ids"], expected.value("kept_ids", answer["kept_ids"]));
  EXPECT_EQ(kept.size(), expected.value("kept_count", kept.size()));
  if (expected.contains("kept_id_range")) {
    EXPECT_EQ(kept.front(), expected["kept_id_range"][0].get<int64_t>());
    EXPECT_EQ(kept.back(), expected["kept_id_range"][1].get<int64_t>());
  }
  if (!expected.contains("probs")) return;
  for (size_t i = 0; i < expected["probs"].size(); ++i)
    EXPECT_NEAR(answer["probs"][i].get<double>(), expected["probs"][i].get<double>(), tolerance);
}

TEST(SamplerVectors, Published) {
  const Json all = vectors("sampler_vectors.json");
  if (all.is_null()) GTEST_SKIP() << "no vectors in " << vectors_folder();
  const StepRegistry steps = builtin_chain_steps();
  int checked = 0, boundary = 0, unserved = 0;
  for (const Json& vector : all["published"]) {
    const std::string rule = vector["sampler"];
    if (!steps.contains(rule)) {
      unserved += vector["dialect"] != "rng";
      continue;
    }
    SCOPED_TRACE(vector["id"].get<std::string>());
    const std::string dialect = vector["dialect"] == "hf" ? "hf" : "llama";
    Json request = row_of(vector["input"]);
    request["sampler"] = {{"type", "chain"},
                          {"dialect", dialect},
                          {"steps", Json::array({Json{{rule, vector["params"]}}})}};
    const Json answer = run_trial(request, builtin_samplers(), {});
    if (vector.value("boundary_sensitive", false)) {
      ++boundary;  // rounding decides: reported, never a gate
      if (answer["kept_ids"] != vector["expected"].value("kept_ids", answer["kept_ids"]))
        std::cout << "boundary-sensitive, differs: " << vector["id"] << "\n";
      continue;
    }
    const double tolerance = vector.value("tol", dialect == "hf" ? 1e-3 : 1e-5);  // as published
    expect_answer(answer, vector["expected"], tolerance);
    ++checked;
  }
  std::cout << checked << " vectors checked, " << boundary << " boundary-sensitive, " << unserved
            << " of rules that are not served\n";
  EXPECT_GT(checked, 0);
}

TEST(EntropixVectors, EveryServedVersionTokenForToken) {
  const Json all = vectors("entropix_decisions.json");
  if (all.is_null()) GTEST_SKIP() << "no vectors in " << vectors_folder();
  const std::map<std::string, std::string> states = {{"LELV", "low_low"},
                                                     {"HELV", "high_low"},
                                                     {"LEHV", "low_high"},
                                                     {"HEHV", "high_high"},
                                                     {"adaptive", "between"}};
  constexpr double kFloat32Sums = 2e-5;  // the original sums in float32, we in double
  for (const std::string variant : {"v2_jax"}) {
    for (const Json& one : all["cases"]) {
      SCOPED_TRACE(variant + " case " + one["id"].dump());
      const Json& expected = one["expected"][variant];
      const Json answer = run_trial({{"logits", one["logits"]},
                                     {"attention_scores", one["attention_scores"]},
                                     {"valid_slots", one["valid_slots"]},
                                     {"history", one["generated"]},
                                     {"prompt_length", 0},
                                     {"sampler",
                                      {{"type", "entropix"},
                                       {"variant", variant},
                                       {"clarifying_token", one["clarifying_token"]}}}},
                                    builtin_samplers(), {});
      EXPECT_EQ(answer["decision"]["token"], expected["token"]);
      if (!expected.contains("metrics")) continue;
      EXPECT_EQ(answer["state"], states.at(expected["state"]));
      for (const auto& [name, value] : expected["metrics"].items())
        EXPECT_NEAR(answer["decision_metrics"][name].get<double>(), value.get<double>(),
                    kFloat32Sums * std::max(1.0, std::abs(value.get<double>())));
    }
  }
}

}  // namespace
}  // namespace surprisal
