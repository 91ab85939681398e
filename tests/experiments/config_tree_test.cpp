#include "experiments/config_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/files.h"
#include "lib/params.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

YAML::Node tree() {
  return parse_yaml(R"(
name: x
task: {name: t, limit: 3}
tasks_list: [{name: a}, {name: b}]
samplers:
  minp: {type: chain, steps: [{temperature: 0.7}, {min_p: 0.1}, {top_k: {k: 5}}]}
  twice: {type: chain, steps: [{top_p: 0.9}, {top_p: 0.5}]}
)",
                    "t.yaml");
}

Json after(const std::string& key, const Json& value) {
  const YAML::Node root = tree();
  set_by_key(root, key, yaml_from_json(value));
  return json_from_yaml(root);
}

TEST(ConfigTree, SetsPlainAndNestedKeys) {
  EXPECT_EQ(after("task.limit", 7).at("task").at("limit"), 7);
  EXPECT_EQ(after("name", "y").at("name"), "y");
  EXPECT_EQ(after("engine.batch", 4).at("engine").at("batch"), 4);  // made on the way
  EXPECT_EQ(after("tasks_list.1.name", "c").at("tasks_list").at(1).at("name"), "c");
}

TEST(ConfigTree, NamesAStepOfAChain) {
  const Json steps = after("samplers.minp.steps.min_p", 0.25).at("samplers").at("minp").at("steps");
  EXPECT_EQ(steps, Json::parse(R"([{"temperature":0.7},{"min_p":0.25},{"top_k":{"k":5}}])"));
  EXPECT_EQ(after("samplers.minp.steps.top_k.k", 9)["samplers"]["minp"]["steps"][2]["top_k"]["k"],
            9);
  EXPECT_EQ(after("samplers.twice.steps.1.top_p", 0.4)["samplers"]["twice"]["steps"][1]["top_p"],
            0.4);
}

TEST(ConfigTree, NullTakesAMapsPlace) {
  EXPECT_TRUE(after("task", nullptr).at("task").is_null());
}

TEST(ConfigTree, RefusesKeysThatLeadNowhere) {
  for (const auto& [key, complaint] : std::vector<std::pair<std::string, std::string>>{
           {"samplers.minp.steps.top_p", "no entry of the list is called 'top_p'"},
           {"samplers.twice.steps.top_p", "several entries"},
           {"samplers.minp.steps.top_k", "is a map"},
           {"samplers.minp.steps.7", "3 entries"},
           {"name.x", "plain value"},
           {"task..limit", "empty part"}}) {
    const Error error = error_of([&, k = key] { after(k, 1); });
    EXPECT_EQ(error.code(), ErrorCode::kConfig) << key;
    EXPECT_THAT(error.what(), HasSubstr(complaint)) << key;
    EXPECT_THAT(error.what(), HasSubstr(key));
  }
}

TEST(ConfigTree, OverridesAreAppliedInOrderBeforeValidation) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("a.yaml");
  write_file_atomically(path, "name: x\nsweep: {seed: [1, 2]}\n");
  const std::vector<std::string> overrides = {"seed=3", "seed=4", "label='5'",
                                              "sweep.samplers.q.cut={min: 0, max: 1, steps: 2}"};
  const Json root = json_from_yaml(load_config_tree(path, overrides));
  EXPECT_EQ(root.at("seed"), 4);
  EXPECT_EQ(root.at("label"), "5");
  EXPECT_EQ(root.at("sweep").at("samplers.q.cut").at("steps"), 2);
  EXPECT_EQ(root.at("sweep").at("seed").size(), 2U);

  const std::vector<std::string> no_value = {"seed"};
  EXPECT_EQ(error_of([&] { load_config_tree(path, no_value); }).code(), ErrorCode::kUsage);
  const std::vector<std::string> bad_yaml = {"seed=[1"};
  EXPECT_THAT(error_of([&] { load_config_tree(path, bad_yaml); }).what(), HasSubstr("--set seed"));
}

TEST(ConfigTree, YamlTextReadsBackAsTheSameValue) {
  const Json value = Json::parse(R"({
    "a": 1, "b": 1.5, "c": true, "d": null, "e": "true", "f": "1", "g": "x: y # z", "h": "",
    "i": [], "j": {}, "k": [{"min_p": 0.1}, {"top_k": {"k": 3}}], "l": [1, "2", 1e-7],
    "m.n": {"o": "line\nbreak \"quoted\""}, "p": "ü"})");
  EXPECT_EQ(json_from_yaml(parse_yaml(yaml_text(value), "t")), value) << yaml_text(value);
}

}  // namespace
}  // namespace surprisal
