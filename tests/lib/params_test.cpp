#include "lib/params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace surprisal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ParamReader reader_of(const std::string& yaml) {
  return ParamReader(parse_yaml(yaml, "a.yaml"), "sampler 's'", "a.yaml");
}

/// Runs `body` on a reader of `yaml` and returns the message of the error it must end in.
template <typename Body>
std::string refusal(const std::string& yaml, ErrorCode code, Body body) {
  try {
    ParamReader reader = reader_of(yaml);
    body(reader);
    reader.finish();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << yaml;
  return "";
}

TEST(ParamReader, FillsInEveryDefault) {
  ParamReader reader =
      reader_of("cut: 2\nnames: [a, 'b']\nwindow: null\nthink: {text: ' Wait,'}\n");
  EXPECT_EQ(reader.number("cut", 1.5, {}, "nats", ""), 2.0);
  EXPECT_EQ(reader.integer("k", 40, {}, "tokens", ""), 40);
  EXPECT_EQ(reader.boolean("on", true, ""), true);
  EXPECT_EQ(reader.choice("dialect", "hf", {"hf", "llama"}, ""), "hf");
  EXPECT_THAT(reader.strings("names", {}, ""), ElementsAre("a", "b"));
  EXPECT_THAT(reader.integers("layers", {}, {}, "", ""), ElementsAre());
  EXPECT_EQ(reader.optional_integer("window", {}, "", ""), std::nullopt);
  EXPECT_EQ(reader.optional_number("low", {}, "nats", ""), std::nullopt);
  reader.map("think", "", [](ParamReader& think) {
    EXPECT_EQ(think.string("text", "", ""), " Wait,");
    EXPECT_EQ(think.integer("cooldown", 3, {}, "tokens", ""), 3);
  });
  reader.finish();
  EXPECT_EQ(canonical_json(reader.resolved()),
            R"({"cut":2.0,"dialect":"hf","k":40,"layers":[],"low":null,"names":["a","b"],)"
            R"("on":true,"think":{"cooldown":3,"text":" Wait,"},"window":null})");
}

TEST(ParamReader, SpellingOfANumberDoesNotChangeTheResolvedValue) {
  for (const char* spelling : {"x: 1", "x: 1.0", "x: +1", "x: 1e0", "x: 10e-1"}) {
    ParamReader reader = reader_of(spelling);
    reader.number("x", std::nullopt, {}, "", "");
    EXPECT_EQ(canonical_json(reader.resolved()), R"({"x":1.0})") << spelling;
  }
  ParamReader reader = reader_of("k: 40.0");
  EXPECT_EQ(reader.integer("k", std::nullopt, {}, "", ""), 40);
}

TEST(ParamReader, UnknownKeyIsNamedWithItsLineAndASuggestion) {
  const std::string message =
      refusal("k: 1\ntemprature: 2\n", ErrorCode::kUnknownName, [](ParamReader& reader) {
        reader.integer("k", 1, {}, "", "");
        reader.number("temperature", 1, {}, "", "");
      });
  EXPECT_THAT(message, AllOf(HasSubstr("a.yaml:2"), HasSubstr("sampler 's'"),
                             HasSubstr("'temprature'"), HasSubstr("'temperature'")));
}

TEST(ParamReader, UnknownKeyOfANestedMap) {
  const std::string message =
      refusal("think:\n  txt: a\n", ErrorCode::kUnknownName, [](ParamReader& reader) {
        reader.map("think", "", [](ParamReader& think) { think.string("text", "", ""); });
      });
  EXPECT_THAT(message, AllOf(HasSubstr("a.yaml:2"), HasSubstr("think"), HasSubstr("'text'")));
}

TEST(ParamReader, RefusesWrongTypes) {
  const auto number = [](ParamReader& reader) { reader.number("x", 1, {}, "nats", ""); };
  for (const char* value : {"one", "'1'", "[1]", "{a: 1}", "", "1 2", "0x10", ".nan", ".inf", "inf",
                            "nan", "+-1", "+", "1e999"}) {
    const std::string message = refusal("y: 0\nx: " + std::string(value) + "\n", ErrorCode::kConfig,
                                        [&](ParamReader& reader) {
                                          reader.integer("y", 0, {}, "", "");
                                          number(reader);
                                        });
    EXPECT_THAT(message, AllOf(HasSubstr("a.yaml:2"), HasSubstr("x: expected a number (nats)")))
        << value;
  }
  refusal("k: 1.5\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.integer("k", 1, {}, "", ""); });
  refusal("k: 1e17\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.integer("k", 1, {}, "", ""); });
  refusal("b: yes\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.boolean("b", true, ""); });
  refusal("s: [a]\n", ErrorCode::kConfig, [](ParamReader& reader) { reader.string("s", "", ""); });
  refusal("l: 1\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.integers("l", {}, {}, "", ""); });
  refusal("l: [1, b]\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.integers("l", {}, {}, "", ""); });
  refusal("m: 1\n", ErrorCode::kConfig,
          [](ParamReader& reader) { reader.map("m", "", [](ParamReader&) {}); });
  EXPECT_THROW(reader_of("[1]"), Error);
}

TEST(ParamReader, BoundsAreInclusiveUnlessSaid) {
  const auto read = [](double value, Range range) {
    ParamReader reader(yaml_from_json(Json{{"x", value}}), "o", "f");
    return reader.number("x", std::nullopt, range, "", "");
  };
  const Range half_open{.min = 0, .max = 1, .min_exclusive = true};
  EXPECT_EQ(read(1, half_open), 1);
  EXPECT_THROW(read(0, half_open), Error);
  EXPECT_THROW(read(1.0000001, half_open), Error);
  EXPECT_EQ(read(0, {.min = 0}), 0);
  EXPECT_THROW(read(1, {.max = 1, .max_exclusive = true}), Error);
  const std::string message = refusal("x: 7", ErrorCode::kConfig, [&](ParamReader& reader) {
    reader.number("x", 0.5, half_open, "", "");
  });
  EXPECT_THAT(message, AllOf(HasSubstr("> 0, <= 1"), HasSubstr("'7'")));
}

TEST(ParamReader, RequiredAndChoices) {
  EXPECT_THAT(refusal("a: 1", ErrorCode::kConfig,
                      [](ParamReader& reader) { reader.number("x", std::nullopt, {}, "", ""); }),
              HasSubstr("'x' is required"));
  EXPECT_THAT(refusal("dialect: lama", ErrorCode::kConfig,
                      [](ParamReader& reader) {
                        reader.choice("dialect", "hf", {"hf", "llama"}, "");
                      }),
              HasSubstr("did you mean 'llama'?"));
}

TEST(ParamReader, DescribingYieldsAllowedValuesAndDocumentation) {
  ParamReader reader = ParamReader::describing("sampler 's'");
  EXPECT_EQ(reader.number("t", std::nullopt, {.min = 0, .min_exclusive = true}, "", "heat"), 1);
  EXPECT_EQ(reader.choice("c", std::nullopt, {"x", "y"}, ""), "x");
  EXPECT_FALSE(reader.raw("steps", "list", "").IsDefined());
  reader.map("think", "", [](ParamReader& think) {
    EXPECT_TRUE(think.is_describing());
    think.string("text", std::nullopt, "what is inserted");
  });
  reader.finish();
  ASSERT_EQ(reader.docs().size(), 5U);
  EXPECT_EQ(reader.docs()[0].name, "t");
  EXPECT_EQ(reader.docs()[0].allowed, "> 0");
  EXPECT_TRUE(reader.docs()[0].required);
  EXPECT_EQ(reader.docs()[4].name, "think.text");
}

}  // namespace
}  // namespace surprisal
