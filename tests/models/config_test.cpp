#include "models/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/error.h"
#include "tests/lib/temporary_folder.h"
#include "tests/thrown.h"

namespace surprisal {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json valid() {
  return Json::parse(R"({
    "model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 160,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": [3, 2]})");
}

Json with(const char* key, Json value) {
  Json config = valid();
  config[key] = std::move(value);
  return config;
}

Json without(const char* key) {
  Json config = valid();
  config.erase(key);
  return config;
}

ModelConfig parse(const Json& json) {
  return parse_model_config(json, "config.json");
}

TEST(ModelConfigTest, BothLayoutsSayTheSame) {
  Json old = valid();
  old["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  old["torch_dtype"] = "bfloat16";
  Json current = without("rope_theta");
  current["rope_parameters"] = {{"rope_type", "linear"}, {"factor", 2.5}, {"rope_theta", 10000.0}};
  current["dtype"] = "bfloat16";
  for (const Json& json : {old, current}) {
    const ModelConfig config = parse(json);
    EXPECT_EQ(config.rope.type, RopeConfig::Type::kLinear);
    EXPECT_EQ(config.rope.factor, 2.5);
    EXPECT_EQ(config.rope.theta, 10000);
    EXPECT_EQ(config.torch_dtype, "bfloat16");
    EXPECT_EQ(config.head_dim, 16) << "hidden_size / num_attention_heads";
    EXPECT_THAT(config.eos_token_ids, ElementsAre(3, 2));
    EXPECT_THAT(config.assumptions, IsEmpty());
  }
}

TEST(ModelConfigTest, WhatIsAssumedIsSaid) {
  for (const char* key : {"rope_theta", "rms_norm_eps", "hidden_act"})
    EXPECT_THAT(parse(without(key)).assumptions, ElementsAre(HasSubstr(key))) << key;
  Json mistral = with("model_type", "mistral");
  EXPECT_THAT(parse(mistral).assumptions, ElementsAre(HasSubstr("sliding_window")));
  mistral["sliding_window"] = nullptr;
  EXPECT_THAT(parse(mistral).assumptions, IsEmpty());
  EXPECT_THAT(parse(mistral).attention_windows, ElementsAre(0, 0));
}

TEST(ModelConfigTest, WhatIsNeededIsNamedWhenAbsentOrWrong) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings", "model_type"}) {
    EXPECT_THAT(test::thrown(ErrorCode::kFormat, [&] { parse(without(key)); }), HasSubstr(key));
    EXPECT_THAT(test::thrown(ErrorCode::kFormat, [&] { parse(with(key, -1)); }), HasSubstr(key));
    EXPECT_THAT(test::thrown(ErrorCode::kFormat, [&] { parse(with(key, 2.5)); }), HasSubstr(key));
  }
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [] { parse(with("vocab_size", UINT64_MAX)); }),
              HasSubstr("vocab_size"));
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [] { parse(with("num_key_value_heads", 3)); }),
              HasSubstr("num_key_value_heads"));
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [] { parse(with("head_dim", 15)); }),
              HasSubstr("head_dim"));
  EXPECT_THAT(test::thrown(ErrorCode::kFormat,
                           [] {
                             parse(with("eos_token_id", {1, -2}));
                           }),
              HasSubstr("eos_token_id"));
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [] { parse(with("rms_norm_eps", 0)); }),
              HasSubstr("rms_norm_eps"));
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, [] { parse(Json::array()); }),
              HasSubstr("config.json"));
}

TEST(ModelConfigTest, WhatIsNotServedIsRefused) {
  const auto refused = [](const Json& json) {
    return test::thrown(ErrorCode::kUnsupported, [&] { parse(json); });
  };
  EXPECT_THAT(refused(with("model_type", "gemma")), AllOf(HasSubstr("gemma"), HasSubstr("llama")));
  EXPECT_THAT(refused(with("hidden_act", "gelu")), HasSubstr("gelu"));
  EXPECT_THAT(refused(with("sliding_window", 4096)), HasSubstr("sliding_window"));
  EXPECT_THAT(refused(with("quantization_config", {{"bits", 4}})),
              HasSubstr("quantization_config"));
  EXPECT_THAT(refused(with("rope_scaling", {{"type", "longrope"}, {"factor", 2}})),
              AllOf(HasSubstr("longrope"), HasSubstr("yarn")));
  EXPECT_THAT(refused(with("rope_scaling", {{"type", "linear"}, {"factor", 2}, {"beta_fast", 3}})),
              HasSubstr("beta_fast"));
  EXPECT_THAT(refused(with("partial_rotary_factor", 0.5)), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(refused(with("rope_interleaved", true)), HasSubstr("rope_interleaved"));
  EXPECT_THAT(parse(with("rope_interleaved", false)).assumptions, IsEmpty());
}

TEST(ModelConfigTest, RopeTypesAskForTheirParameters) {
  const auto missing = [](Json scaling) {
    return test::thrown(ErrorCode::kFormat,
                        [&] { parse(with("rope_scaling", std::move(scaling))); });
  };
  EXPECT_THAT(missing({{"type", "linear"}}), HasSubstr("factor"));
  EXPECT_THAT(missing({{"type", "yarn"}}), HasSubstr("factor"));
  EXPECT_THAT(missing({{"type", "llama3"},
                       {"factor", 8},
                       {"low_freq_factor", 1},
                       {"original_max_position_embeddings", 64}}),
              HasSubstr("high_freq_factor"));
  const ModelConfig config = parse(with("rope_scaling", {{"type", "yarn"}, {"factor", 4}}));
  EXPECT_EQ(config.rope.original_max_position_embeddings, 512);
  EXPECT_THAT(config.assumptions, ElementsAre(HasSubstr("original_max_position_embeddings")));
}

TEST(ModelConfigTest, WindowsFollowEachArchitecture) {
  Json mistral = with("model_type", "mistral");
  mistral["sliding_window"] = 100;
  EXPECT_THAT(parse(mistral).attention_windows, ElementsAre(100, 100));
  Json qwen = with("model_type", "qwen2");
  qwen["sliding_window"] = 100;
  EXPECT_TRUE(parse(qwen).qkv_bias);
  EXPECT_THAT(parse(qwen).attention_windows, ElementsAre(0, 0)) << "use_sliding_window is absent";
  qwen["use_sliding_window"] = true;
  qwen["max_window_layers"] = 1;
  EXPECT_THAT(parse(qwen).attention_windows, ElementsAre(0, 100));
  qwen["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_THAT(parse(qwen).attention_windows, ElementsAre(100, 0));
  qwen["layer_types"] = {"chunked_attention", "full_attention"};
  EXPECT_THAT(test::thrown(ErrorCode::kUnsupported, [&] { parse(qwen); }),
              HasSubstr("layer_types"));
}

TEST(ModelConfigTest, ContextIsStretchedByTheRopeTypesThatExtendIt) {
  const auto context = [](Json scaling) {
    return parse(with("rope_scaling", std::move(scaling))).context_length();
  };
  EXPECT_EQ(parse(valid()).context_length(), 512);
  EXPECT_EQ(context({{"type", "linear"}, {"factor", 2.0}}), 1024);
  EXPECT_EQ(context({{"type", "dynamic"}, {"factor", 4.0}}), 2048);
  EXPECT_EQ(context({{"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 256}}),
            1024);
  EXPECT_EQ(context({{"rope_type", "llama3"},
                     {"factor", 8.0},
                     {"low_freq_factor", 1},
                     {"high_freq_factor", 4},
                     {"original_max_position_embeddings", 64}}),
            512);
}

TEST(ModelConfigTest, EndTokensOfBothFilesCount) {
  const test::TemporaryFolder folder;
  folder.write("config.json", valid().dump());
  folder.write("generation_config.json", R"({"eos_token_id": [2, 7], "bos_token_id": 1})");
  const ModelConfig config = load_model_config(folder.path());
  EXPECT_THAT(config.eos_token_ids, ElementsAre(3, 2, 7));
  EXPECT_THAT(config.bos_token_ids, ElementsAre(1));
}

TEST(ModelConfigTest, BadFilesAreNamed) {
  const test::TemporaryFolder folder;
  const auto load = [&] { load_model_config(folder.path()); };
  EXPECT_THAT(test::thrown(ErrorCode::kIo, load), HasSubstr("config.json"));
  folder.write("config.json", "{");
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, load), HasSubstr("config.json"));
  folder.write("config.json", valid().dump());
  folder.write("generation_config.json", "[]");
  EXPECT_THAT(test::thrown(ErrorCode::kFormat, load), HasSubstr("generation_config.json"));
}

}  // namespace
}  // namespace surprisal
