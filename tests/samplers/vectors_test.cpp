// Published results of llama.cpp's and transformers' own tests, and decisions of the real Entropix
// samplers. They lie beside the checkout where they may be had, and are no part of it: set
// SURPRISAL_VECTORS to their folder.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

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
  if (input.contains("vocab")) return {{"logits", std::vector<double>(input["vocab"], 0.0)}};
  Json logits = Json::array({nullptr});  // logit_i = ln i, logit_0 = -inf
  for (int i = 1; i < 10'000; ++i) logits.push_back(std::log(static_cast<double>(i)));
  return {{"logits", logits}};
}

/// The request that a vector of one rule stands for.
Json request_of(const Json& vector) {
  Json request = row_of(vector["input"]), params = vector["params"];
  if (params.contains("history")) request["history"] = params["history"];
  for (const char* harness : {"history", "seed", "selected"}) params.erase(harness);
  request["sampler"] = {{"type", "chain"},
                        {"dialect", vector["dialect"] == "hf" ? "hf" : "llama"},
                        {"steps", Json::array({Json{{vector["sampler"], params}}})}};
  return request;
}

/// What an answer differs in from what is expected, or "".
std::string difference(const Json& answer, const Json& expected, double tolerance) {
  const auto far = [&](const Json& values, const Json& wanted) {
    if (values.size() != wanted.size()) return true;
    for (size_t i = 0; i < wanted.size(); ++i)
      if (std::abs(values[i].get<double>() - wanted[i].get<double>()) > tolerance) return true;
    return false;
  };
  const auto kept = answer["kept_ids"].get<std::vector<int64_t>>();
  if (expected.contains("kept_ids") && answer["kept_ids"] != expected["kept_ids"])
    return "kept_ids " + answer["kept_ids"].dump();
  if (kept.size() != expected.value("kept_count", kept.size())) return "kept_count";
  if (kept.size() != expected.value("k", kept.size())) return "k";
  if (expected.contains("kept_id_range") &&
      (kept.front() != expected["kept_id_range"][0] || kept.back() != expected["kept_id_range"][1]))
    return "kept_id_range";
  if (expected.contains("banned_ids"))
    for (size_t id = 0; id < answer["probs"].size(); ++id) {
      const bool banned = std::find(kept.begin(), kept.end(), id) == kept.end();
      const Json& wanted = expected["banned_ids"];
      if (banned != (std::find(wanted.begin(), wanted.end(), id) != wanted.end()))
        return "banned_ids";
    }
  if (expected.contains("T") && std::abs(answer["decision"]["temperature"].get<double>() -
                                         expected["T"].get<double>()) > tolerance)
    return "T " + answer["decision"]["temperature"].dump();
  if (expected.contains("logits") && far(answer["kept_logits"], expected["logits"]))
    return "logits " + answer["kept_logits"].dump();
  if (expected.contains("probs") && far(answer["probs"], expected["probs"]))
    return "probs " + answer["probs"].dump();
  return "";
}

TEST(SamplerVectors, OneRule) {
  const Json all = vectors("sampler_vectors.json");
  if (all.is_null()) GTEST_SKIP() << "no vectors in " << vectors_folder();
  // What is no rule of a chain, or compares chains, has tests of its own.
  const std::set<std::string> elsewhere = {"philox4x32-10", "entropy_varentropy",
                                           "deepconf_token_conf"};
  int checked = 0, boundary = 0;
  for (const char* part : {"published", "derived"}) {
    for (const Json& vector : all[part]) {
      const std::string id = vector["id"];
      if (elsewhere.contains(vector["sampler"]) || id.starts_with("dx-")) continue;
      SCOPED_TRACE(id);
      const Json answer = run_trial(request_of(vector), builtin_samplers(), {});
      const double published = vector["dialect"] == "hf" ? 1e-3 : 1e-5;
      const std::string wrong =
          difference(answer, vector["expected"], vector.value("tol", published));
      if (vector.value("boundary_sensitive", false)) {  // rounding decides: never a gate
        ++boundary;
        if (!wrong.empty()) std::cout << "boundary-sensitive, differs: " << id << "\n";
        continue;
      }
      EXPECT_EQ(wrong, "");
      ++checked;
    }
  }
  std::cout << checked << " vectors checked, " << boundary << " boundary-sensitive\n";
  EXPECT_GE(checked, 55);
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
  for (const std::string variant : {"v2_jax", "v2_torch", "v3_70b", "v4_server"}) {
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
