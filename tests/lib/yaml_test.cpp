#include "lib/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/error.h"

namespace surprisal {
namespace {

using ::testing::HasSubstr;

/// The message of the Error(kConfig) that parsing `text` must end in.
std::string refusal(const std::string& text) {
  try {
    parse_yaml(text, "a.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << text.substr(0, 100);
  return "";
}

TEST(Yaml, ReadsAnOrdinaryDocument) {
  const YAML::Node node = parse_yaml("# c\na: {b: [1, two, 'three']}\nd:\n  - e: 1\n", "a.yaml");
  EXPECT_EQ(node["a"]["b"][2].Scalar(), "three");
  EXPECT_EQ(node["d"][0]["e"].Scalar(), "1");
  EXPECT_EQ(yaml_place("a.yaml", node["d"][0]["e"]), "a.yaml:4");
}

TEST(Yaml, EmptyTextIsNull) {
  EXPECT_TRUE(parse_yaml("", "a.yaml").IsNull());
  EXPECT_TRUE(parse_yaml("# nothing\n", "a.yaml").IsNull());
}

TEST(Yaml, RefusesWhatCouldMislead) {
  EXPECT_THAT(refusal("a: 1\nb: 2\na: 3\n"), HasSubstr("a.yaml:3: key 'a' stands twice"));
  EXPECT_THAT(refusal("x: {a: 1, a: 2}\n"), HasSubstr("a.yaml:1"));
  EXPECT_THAT(refusal("a: &n 1\nb: *n\n"), HasSubstr("a.yaml:1: anchors"));
  EXPECT_THAT(refusal("b: *n\n"), HasSubstr("a.yaml:1"));
  EXPECT_THAT(refusal("\na: !!python/object:os.system x\n"), HasSubstr("a.yaml:2: tags"));
  EXPECT_THAT(refusal("? [a, b]\n: 1\n"), HasSubstr("a key must be a plain word"));
  EXPECT_THAT(refusal("a: 1\n---\nb: 2\n"), HasSubstr("more than one YAML document"));
}

TEST(Yaml, SyntaxErrorsNameTheirLine) {
  EXPECT_THAT(refusal("a: 1\nb: [1, 2\n"), HasSubstr("a.yaml:"));
  EXPECT_THAT(refusal("a: 1\n\tb: 2\n"), HasSubstr("a.yaml:2"));
}

TEST(Yaml, BoundsHostileInput) {
  refusal(std::string(100'000, '['));
  EXPECT_THAT(refusal(std::string(65, '[') + std::string(65, ']')), HasSubstr("deeper"));
  EXPECT_NO_THROW(parse_yaml(std::string(64, '[') + std::string(64, ']'), "a.yaml"));
  EXPECT_THAT(refusal("a: " + std::string(1 << 20, 'x')), HasSubstr("at most 1048576"));
  EXPECT_THAT(refusal("a: 1\nb: \xff\n"), HasSubstr("a.yaml:2: not UTF-8"));
  EXPECT_THAT(refusal(std::string("a: \0b", 5)), HasSubstr("a.yaml:1: not UTF-8"));
}

TEST(Yaml, JsonKeepsItsTypes) {
  const YAML::Node node = yaml_from_json(Json::parse(R"({"a":[1,2.5,true,null,"3"],"b":{}})"));
  EXPECT_EQ(node["a"][0].Scalar(), "1");
  EXPECT_EQ(node["a"][1].Scalar(), "2.5");
  EXPECT_TRUE(node["a"][3].IsNull());
  EXPECT_EQ(node["a"][4].Tag(), "!");
  EXPECT_TRUE(node["b"].IsMap());
  EXPECT_EQ(yaml_place("in.jsonl:3", node["a"][0]), "in.jsonl:3");
}

}  // namespace
}  // namespace surprisal
