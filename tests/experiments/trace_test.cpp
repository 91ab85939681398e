#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "experiments/trace_export.h"
#include "experiments/trace_reader.h"
#include "experiments/trace_writer.h"
#include "lib/files.h"
#include "tests/experiments/example_sample.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using testing::example_sample;
using ::testing::HasSubstr;

CellResult cell_result(const std::string& id, const Setting& swept) {
  CellResult result;
  result.cell = id;
  result.sampler = "quadrant";
  result.swept = swept;
  result.n = 2;
  result.numeric = {0.5, 0.25, 0.75};
  return result;
}

class TraceTest : public ::testing::Test {
 protected:
  /// Two cells that answer two problems; both answers to a problem pass through the same contexts
  /// until their last token.
  std::string write(const std::string& name, bool reversed = false) {
    const std::string path = folder_.file(name);
    TraceHeader header{.config_sha256 = "c0", .model_sha256 = "m0"};
    header.options = {.top_k = 2, .attention = TraceOptions::Attention::kMaps, .logits_f16 = true};
    header.layers = 3;
    header.heads = 3;  // more of each than the samples' model has
    header.vocab_size = 4;
    TraceWriter writer(path, header);
    for (const int64_t problem : {1, 2}) {
      for (int64_t cell : {0, 1}) {
        if (reversed) cell = 1 - cell;
        Sample sample = example_sample(cell == 0 ? "cell_a" : "cell_b", problem);
        sample.tokens.back().token_id += static_cast<TokenId>(cell);
        writer.add(sample, cell, problem, /*heads=*/2);
      }
    }
    writer.finish({cell_result("cell_a", {{"samplers.quadrant.entropy_cut", 0.5}}),
                   cell_result("cell_b", {{"seed", 3}, {"samplers.q.mode", "hot, \"x\""}})},
                  "name: x\n", "{\"a\":1}");
    return path;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(TraceTest, EveryColumnHasUnitsAndDescriptionAndTheTablesLength) {
  const TraceReader trace(write("t.h5"));
  EXPECT_EQ(trace.rows("cells"), 2);
  EXPECT_EQ(trace.rows("samples"), 4);
  EXPECT_EQ(trace.rows("tokens"), 12);
  EXPECT_EQ(trace.rows("branches"), 8);
  EXPECT_EQ(trace.rows("branch_tokens"), 8);
  EXPECT_EQ(trace.rows("events"), 8);
  for (const std::string table : kTraceTables) {
    for (const TraceColumn& column : trace.columns(table)) {
      const hdf5::Dataset dataset = trace.column(table, column.name);
      const hdf5::Attributes attributes = dataset.attributes();
      EXPECT_TRUE(attributes.contains("units")) << table << column.name;
      EXPECT_FALSE(attributes.text("description").empty()) << table << column.name;
    }
  }
  const hdf5::Attributes root = trace.file().attributes();
  EXPECT_EQ(root.text("entropy_unit"), "nat");
  EXPECT_EQ(root.text("config_sha256"), "c0");
  EXPECT_EQ(root.text("model_sha256"), "m0");
}

TEST_F(TraceTest, TokensFollowTheirSamples) {
  const TraceReader trace(write("t.h5"));
  EXPECT_THAT(trace.column("samples", "token_begin").read<int64_t>(), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(trace.column("tokens", "sample").read<int64_t>(),
              ElementsAre(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3));
  EXPECT_THAT(trace.column("tokens", "token_id").read<int32_t>(),
              ElementsAre(105, 106, 107, 105, 106, 108, 205, 206, 207, 205, 206, 208));
  const auto names = trace.column("tokens", "source").enumeration_names();
  EXPECT_THAT(names, ElementsAre("sampled", "injected", "retrieved", "branch", "user"));
  EXPECT_EQ(trace.column("tokens", "source").read<uint8_t>()[1], 1);
  EXPECT_TRUE(std::isnan(trace.column("tokens", "sampling_logprob").read<float>()[1]));
  EXPECT_THAT(trace.column("cells", "samplers.quadrant.entropy_cut").read<double>()[0], 0.5);
  EXPECT_TRUE(std::isnan(trace.column("cells", "seed").read<double>()[0]));
  EXPECT_THAT(trace.column("cells", "samplers.q.mode").read_strings(),
              ElementsAre("", "hot, \"x\""));
}

TEST_F(TraceTest, ContextsThatAnswersShareAreOneNode) {
  const TraceReader trace(write("t.h5"));
  // A node stands for the context before a token: the two answers part only after their last one.
  EXPECT_EQ(trace.rows("nodes"), 6);
  EXPECT_THAT(trace.column("tokens", "node").read<int64_t>(),
              ElementsAre(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5));
  EXPECT_THAT(trace.column("nodes", "parent").read<int64_t>(), ElementsAre(-1, 0, 1, -1, 3, 4));
  EXPECT_THAT(trace.column("nodes", "question").read<int64_t>(), ElementsAre(0, 0, 0, 2, 2, 2));
  EXPECT_THAT(trace.column("nodes", "token_id").read<int32_t>(),
              ElementsAre(-1, 105, 106, -1, 205, 206));
}

TEST_F(TraceTest, SmallerModelsRowsAreFilledUpWithNaN) {
  const TraceReader trace(write("t.h5"));
  EXPECT_THAT(trace.column("nodes", "attention_entropy").shape(), ElementsAre(6, 3, 3));
  const auto entropy = trace.column("nodes", "attention_entropy").read_rows<float>(1, 1);
  // [[1, 2, NaN], [3, 4, NaN], [NaN, NaN, NaN]]
  EXPECT_EQ(entropy[0], 1);
  EXPECT_EQ(entropy[1], 2);
  EXPECT_TRUE(std::isnan(entropy[2]));
  EXPECT_EQ(entropy[3], 3);
  EXPECT_EQ(entropy[4], 4);
  for (size_t i = 5; i < 9; ++i) EXPECT_TRUE(std::isnan(entropy[i]));
  const auto logits = trace.column("nodes", "logits").read_rows<float>(0, 1);
  EXPECT_THAT((std::vector<float>{logits.begin(), logits.begin() + 3}), ElementsAre(1, -2, 0));
  EXPECT_TRUE(std::isnan(logits[3]));
}

TEST_F(TraceTest, RowsStayWholeWhenMoreOfThemThanTheBufferHoldsAreWritten) {
  // 180 rows of 900 values, which a buffer of 65,536 ends amid: what a run of a real model with
  // `attention: heads` writes in its first seconds.
  constexpr int64_t kProblems = 60;
  const std::string path = folder_.file("long.h5");
  {
    TraceHeader header{.config_sha256 = "c0", .model_sha256 = "m0"};
    header.options.attention = TraceOptions::Attention::kHeads;
    header.layers = header.heads = 30;
    TraceWriter writer(path, header);
    for (int64_t problem = 0; problem < kProblems; ++problem)
      writer.add(example_sample("cell_a", problem), 0, problem, /*heads=*/2);
    writer.finish({cell_result("cell_a", {})}, "name: x\n", "{}");
  }
  const TraceReader trace(path);
  ASSERT_THAT(trace.column("nodes", "attention_varentropy").shape(),
              ElementsAre(3 * kProblems, 30, 30));
  for (int64_t row = 0; row < 3 * kProblems; ++row) {
    const auto values = trace.column("nodes", "attention_varentropy").read_rows<float>(row, 1);
    const std::vector<float> seen = {values[0], values[1], values[30], values[31]};
    ASSERT_THAT(seen, ElementsAre(5, 6, 7, 8)) << row;
    ASSERT_EQ(std::count_if(values.begin(), values.end(), [](float x) { return std::isnan(x); }),
              900 - 4)
        << row;
  }
}

TEST_F(TraceTest, TextsAndMetaReadBack) {
  const TraceReader trace(write("t.h5"));
  const auto bytes = trace.file().dataset("/text/bytes").read<uint8_t>();
  const auto offsets = trace.file().dataset("/text/offsets").read<int64_t>();
  ASSERT_EQ(offsets.size(), 5U);
  EXPECT_EQ(std::string(bytes.begin() + offsets[2], bytes.begin() + offsets[3]),
            example_sample("c", 2).response);
  EXPECT_EQ(trace.file().dataset("/meta/config_yaml").read_strings().at(0), "name: x\n");
  EXPECT_THAT(trace.column("events", "detail").read_strings()[0], " Wait,");
  EXPECT_THAT(trace.column("branches", "text").read_strings()[1], " nine");
}

TEST_F(TraceTest, TheSignatureIgnoresOrderAndSeesDecisions) {
  const std::string one = trace_signature(TraceReader(write("a.h5")));
  EXPECT_EQ(one.size(), 12U);
  EXPECT_EQ(trace_signature(TraceReader(write("b.h5", true))), one);
  const std::string path = folder_.file("c.h5");
  {
    TraceWriter writer(path, {});
    Sample sample = example_sample("cell_a", 1);
    sample.tokens[0].gate = Gate::kFailed;
    writer.add(sample, 0, 0, 2);
    writer.finish({cell_result("cell_a", {})}, "", "");
  }
  EXPECT_NE(trace_signature(TraceReader(path)), one);
}

TEST_F(TraceTest, UnfinishedAndForeignFilesAreRefused) {
  const std::string path = folder_.file("half.h5");
  { TraceWriter writer(path, {}); }
  EXPECT_THAT(error_of([&] { TraceReader reader(path); }).what(),
              HasSubstr("not written to its end"));
  {
    hdf5::File file = hdf5::File::create(path);
    file.attributes().set("format", "something else");
  }
  EXPECT_THAT(error_of([&] { TraceReader reader(path); }).what(), HasSubstr("not a trace"));
  EXPECT_EQ(error_of([&] { TraceReader reader(folder_.path()); }).code(), ErrorCode::kIo);
}

TEST_F(TraceTest, ExportsEveryTable) {
  const TraceReader trace(write("t.h5"));
  std::vector<std::string> left_out;
  const auto csv = export_trace(trace, "csv", folder_.file("out"), &left_out);
  const auto jsonl = export_trace(trace, "jsonl", folder_.file("out"), &left_out);
  EXPECT_EQ(csv.size(), std::size(kTraceTables));
  EXPECT_TRUE(left_out.empty());
  const auto lines = [&](const std::string& name) {
    std::ifstream in(folder_.file("out/" + name));
    std::vector<std::string> result;
    for (std::string line; std::getline(in, line);) result.push_back(line);
    return result;
  };
  const auto tokens = lines("tokens.csv");
  ASSERT_EQ(tokens.size(), 13U);
  EXPECT_THAT(tokens[0], HasSubstr("sample,node,position,attempt,token_id,source,state"));
  EXPECT_THAT(tokens[2], HasSubstr("0,1,6,0,106,injected,high_low,think,passed,6.5,0.25"));
  const auto cells = lines("cells.csv");
  EXPECT_THAT(cells[2], HasSubstr("\"hot, \"\"x\"\"\""));
  const auto nodes = lines("nodes.csv");
  EXPECT_THAT(nodes[0], HasSubstr("attention_entropy_0_0,attention_entropy_0_1"));
  EXPECT_THAT(nodes[0], HasSubstr("logits_0,logits_1"));
  const Json node = Json::parse(lines("nodes.jsonl").at(1));
  EXPECT_EQ(node["attention_entropy"],
            Json::parse("[[1.0,2.0,null],[3.0,4.0,null],[null,null,null]]"));
  EXPECT_EQ(node["top_k_token_id"], Json::parse("[7,8]"));
  const Json sample = Json::parse(lines("samples.jsonl").at(0));
  EXPECT_EQ(sample["stop_reason"], "stop_string");
  EXPECT_EQ(sample["numeric"], false);
}

}  // namespace
}  // namespace surprisal
