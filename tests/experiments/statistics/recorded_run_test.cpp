#include "experiments/recorded_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "lib/error.h"
#include "tests/experiments/statistics/recorded_world.h"

namespace surprisal {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(RequireComparable, RefusesCellsSteeredByAPerson) {
  RecordedCell one = invented_cell("aaa", "greedy", "greedy");
  RecordedCell other = invented_cell("bbb", "chain", "chain");
  for (RecordedCell* cell : {&one, &other}) {
    add_question(*cell, {"right"}, 50);
    cell->identity["ask_policy"] = "best";
  }
  require_comparable(one, other);
  for (RecordedCell* cell : {&one, &other}) cell->identity["ask_policy"] = "person";
  EXPECT_THAT([&] { require_comparable(one, other); },
              ThrowsMessage<Error>(HasSubstr("steered by a person")));
}

class RecordedRunTest : public testing::Test {
 protected:
  RecordedRunTest() : folder_(testing::TempDir() + "recorded_run_" + test_name()) {
    std::filesystem::remove_all(folder_);
    RecordedCell cell = invented_cell("0123456789ab", "minp", "chain");
    cell.swept = {{"samplers.minp.temperature", 0.5}, {"task.max_new_tokens", 64}};
    for (int q = 0; q < 3; ++q) add_question(cell, {"right", "", "3"}, 50, "t");
    write_run(invented_run({cell}, ""), folder_);
  }
  ~RecordedRunTest() override { std::filesystem::remove_all(folder_); }

  static std::string test_name() {
    return testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  std::string text(const std::string& name) const {
    std::ifstream in(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name) << content;
  }
  void expect_refusal(const std::string& message) const {
    EXPECT_THAT([&] { read_recorded_run(folder_); }, ThrowsMessage<Error>(HasSubstr(message)));
  }

  std::string folder_;
};

TEST_F(RecordedRunTest, ReadsBack) {
  const RecordedRun run = read_recorded_run(folder_);
  ASSERT_EQ(run.cells.size(), 1u);
  const RecordedCell& cell = run.cells[0];
  EXPECT_EQ(cell.name(), "minp (temperature=0.5 task.max_new_tokens=64)");
  EXPECT_EQ(cell.model_provenance, "dequantised from Q4_1");
  ASSERT_EQ(cell.questions.size(), 3u);
  EXPECT_EQ(cell.repeats(), 3);
  EXPECT_TRUE(cell.questions[2].answers[0].score.numeric);
  EXPECT_EQ(cell.questions[2].answers[1].stop_reason, StopReason::kLength);
  EXPECT_EQ(cell.questions[2].answers[2].score.extracted_numeric, "3");
}

TEST_F(RecordedRunTest, OrderOfLinesDoesNotMatter) {
  std::istringstream in(text("samples.jsonl"));
  std::string line, reversed;
  while (std::getline(in, line)) reversed = line + "\n" + reversed;
  write("samples.jsonl", reversed);
  const RecordedRun run = read_recorded_run(folder_);
  for (int64_t q = 0; q < 3; ++q)
    for (int64_t r = 0; r < 3; ++r) {
      const auto& question = run.cells[0].questions[static_cast<size_t>(q)];
      EXPECT_EQ(question.doc_id, q);
      EXPECT_EQ(question.answers[static_cast<size_t>(r)].repeat, r);
    }
}

TEST_F(RecordedRunTest, RefusesAnUnfinishedRun) {
  std::filesystem::remove(folder_ + "/done.json");
  expect_refusal("not finished");
}

TEST_F(RecordedRunTest, RefusesMissingAndRepeatedSamples) {
  const std::string all = text("samples.jsonl");
  const std::string first = all.substr(0, all.find('\n') + 1);
  write("samples.jsonl", all + first);
  expect_refusal("stands twice");
  write("samples.jsonl", all.substr(first.size()));
  expect_refusal("a repeat is missing");
  write("samples.jsonl", "");
  expect_refusal("holds no answer");
}

TEST_F(RecordedRunTest, NamesTheLineOfADamagedFile) {
  const std::string all = text("samples.jsonl");
  write("samples.jsonl", all + "{\"cell\": \n");
  expect_refusal("samples.jsonl:10");
  write("samples.jsonl", all + "{}\n");
  expect_refusal("samples.jsonl:10");
  std::string stranger = all;
  stranger.replace(stranger.rfind("0123456789ab"), 12, "ba9876543210");
  write("samples.jsonl", stranger);
  expect_refusal("cell 'ba9876543210' is not in cells.json");
}

TEST_F(RecordedRunTest, RefusesDamagedCellsAndManifest) {
  const std::string cells = text("cells.json");
  write("cells.json", "[]");
  expect_refusal("holds no cell");
  write("cells.json", "[{}]");
  expect_refusal("not a list of cells");
  write("cells.json", cells);
  write("manifest.json", "{}");
  expect_refusal("not a manifest");
}

TEST_F(RecordedRunTest, RefusesWhatIsNoFolder) {
  EXPECT_THROW(read_recorded_run(folder_ + "/nowhere"), Error);
}

}  // namespace
}  // namespace surprisal
