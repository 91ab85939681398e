#include "experiments/sample_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/experiments/example_sample.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using testing::example_sample;

TEST(SampleJson, TheLineHasTheDocumentedKeys) {
  const Json line = sample_to_json(example_sample("c", 1));
  std::vector<std::string> keys;
  for (const auto& [key, value] : line.items()) keys.push_back(key);
  EXPECT_THAT(
      keys, ::testing::ElementsAre(
                "cell", "doc_id", "repeat", "seed", "question_sha256", "prompt", "response",
                "target", "extracted_strict", "extracted_flexible", "extracted_numeric", "strict",
                "flexible", "numeric", "valid", "stop_reason", "prompt_tokens", "generated_tokens",
                "injected_tokens", "retrieved_tokens", "discarded_tokens", "interventions",
                "token_evaluations", "flops", "forward_passes", "tags", "foreign"));
  EXPECT_EQ(line["stop_reason"], "stop_string");
  EXPECT_EQ(line["seed"], 9007199254740991);
  EXPECT_EQ(line["tags"]["template_id"], "apples");
}

TEST(SampleJson, ALineReadsBack) {
  const Sample sample = example_sample("c", 1);
  const Sample read = sample_from_json(parse_json(dump_line(sample_to_json(sample)), "t"), "t");
  EXPECT_EQ(sample_to_json(read), sample_to_json(sample));
}

TEST(SampleJson, ASpoolRecordReadsBackWhole) {
  const Sample sample = example_sample("c", 1);
  const std::string bytes = encode_sample(sample);
  const Sample read = decode_sample(bytes, "t");
  EXPECT_EQ(encode_sample(read), bytes);
  ASSERT_EQ(read.tokens.size(), 3U);
  EXPECT_EQ(read.tokens[2].token_id, sample.tokens[2].token_id);
  EXPECT_EQ(read.tokens[2].node, 2);
  EXPECT_TRUE(std::isnan(read.tokens[1].sampling_logprob));
  EXPECT_EQ(read.nodes[1].attention_varentropy, sample.nodes[1].attention_varentropy);
  EXPECT_EQ(read.nodes[1].logits_f16, sample.nodes[1].logits_f16);
  EXPECT_EQ(read.nodes[1].maps_f16, sample.nodes[1].maps_f16);
  EXPECT_EQ(read.nodes[2].maps_f16.size(), 28u);
  EXPECT_EQ(read.branches[1].tokens[1].position, 8);
  EXPECT_EQ(read.events[1].detail, "{\"kept\":0}");
}

TEST(SampleJson, DamagedRecordsAreRefused) {
  const std::string bytes = encode_sample(example_sample("c", 1));
  for (size_t length = 0; length < bytes.size(); length += 7)
    EXPECT_EQ(error_of([&] { decode_sample(bytes.substr(0, length), "t"); }).code(),
              ErrorCode::kFormat)
        << length;
  // Whatever a flipped byte does, it is an Error or a sample, never a crash or a wild allocation.
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x41);
    try {
      decode_sample(flipped, "t");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFormat);
    }
  }
}

TEST(SampleJson, SpansOutsideTheResponseAreRefused) {
  Json line = sample_to_json(example_sample("c", 1));
  for (const char* spans : {"[[3,99]]", "[[5,4]]", "[[-1,2]]", "[[4,6],[5,7]]", "[[1]]", "3"}) {
    line["foreign"] = Json::parse(spans);
    EXPECT_EQ(error_of([&] { sample_from_json(line, "t"); }).code(), ErrorCode::kFormat) << spans;
  }
}

TEST(SampleJson, ScorersSeeTheModelsOwnText) {
  const Sample sample = example_sample("c", 1);
  EXPECT_EQ(without_spans(sample.response, sample.foreign), "Ein Ü. 42");
  EXPECT_EQ(without_spans("abcdef", {{0, 1}, {2, 2}, {4, 6}}), "bcd");
  EXPECT_EQ(without_spans("abc", {}), "abc");
}

}  // namespace
}  // namespace surprisal
