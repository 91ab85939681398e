#include "experiments/run_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "experiments/manifest.h"
#include "experiments/products.h"
#include "experiments/sample_index.h"
#include "experiments/sample_json.h"
#include "experiments/spool.h"
#include "lib/files.h"
#include "tests/experiments/example_plan.h"
#include "tests/experiments/example_sample.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::example_plan;
using testing::example_sample;
using ::testing::HasSubstr;

class RunDirectoryTest : public ::testing::Test {
 protected:
  Plan plan(int64_t problems = 2, int64_t repeats = 1) const {
    return example_plan(problems, repeats, folder_.path());
  }
  /// Writes all that a finished run leaves, in the given order of samples.
  RunDirectory finish(const Plan& plan, bool backwards = false) const {
    const RunDirectory directory = RunDirectory::of(plan.config);
    directory.create();
    const Json manifest = make_manifest(plan, Json::array(), {});
    write_file_atomically(directory.file("manifest.json"), manifest.dump());
    fs::remove(directory.part_file("spool"));
    Spool spool(directory.part_file("spool"), "h");
    std::vector<std::string> records;
    for_each_sample(plan, [&](size_t cell, const Prompt& prompt, int64_t repeat) {
      records.push_back(encode_sample(
          example_sample(plan.cells[cell].id, static_cast<int64_t>(prompt.problem), repeat)));
    });
    if (backwards) std::reverse(records.begin(), records.end());
    for (const std::string& record : records) spool.append(record);
    build_products(plan, spool, directory, manifest);
    directory.mark_finished(plan);
    return directory;
  }
  testing::TemporaryFolder folder_;
};

TEST_F(RunDirectoryTest, FinishedMeansEveryProductIsThereUnharmed) {
  const Plan plan = this->plan();
  const RunDirectory directory = finish(plan);
  EXPECT_TRUE(directory.is_finished(plan));
  for (const char* name : {"config.yaml", "manifest.json", "cells.json", "samples.jsonl",
                           "traces.h5", "results.csv", "results.json"}) {
    const std::string path = directory.file(name);
    const std::string content = read_file(path, 1 << 24);
    write_file_atomically(path, content + " ");
    EXPECT_FALSE(directory.is_finished(plan)) << name;
    fs::remove(path);
    EXPECT_FALSE(directory.is_finished(plan)) << name;
    write_file_atomically(path, content);
    EXPECT_TRUE(directory.is_finished(plan)) << name;
  }
  write_file_atomically(directory.file("done.json"), "{");
  EXPECT_FALSE(directory.is_finished(plan));
}

TEST_F(RunDirectoryTest, UnmarkingMakesItUnfinished) {
  const Plan plan = this->plan();
  const RunDirectory directory = finish(plan);
  directory.unmark();
  EXPECT_FALSE(directory.is_finished(plan));
  EXPECT_FALSE(fs::exists(directory.part_file("done.json")));
}

TEST_F(RunDirectoryTest, MoreMayBeAskedForAndNothingElse) {
  const RunDirectory directory = finish(plan());
  EXPECT_NO_THROW(directory.require_same_run(plan(3, 1)));
  EXPECT_NO_THROW(directory.require_same_run(plan(2, 4)));
  EXPECT_FALSE(directory.is_finished(plan(3, 1)));
  const Error smaller = error_of([&] { directory.require_same_run(plan(1, 1)); });
  EXPECT_EQ(smaller.code(), ErrorCode::kConfig);
  EXPECT_THAT(smaller.what(), HasSubstr("problems.0: 2 -> 1"));

  Plan other = plan();
  other.identity["seed"] = 5;
  other.identity["trace"] = {{"top_k", 3}};
  const Error different = error_of([&] { directory.require_same_run(other); });
  EXPECT_EQ(different.code(), ErrorCode::kConfig);
  EXPECT_THAT(different.what(), HasSubstr("  seed: 0 -> 5"));
  EXPECT_THAT(different.what(), HasSubstr("  trace: null -> {\"top_k\":3}"));
}

TEST_F(RunDirectoryTest, ProductsDoNotDependOnTheOrderOfTheSpool) {
  const Plan plan = this->plan(3, 2);
  const RunDirectory directory = finish(plan);
  std::map<std::string, std::string> before;
  for (const char* name : {"samples.jsonl", "traces.h5", "results.csv", "results.json"})
    before[name] = read_file(directory.file(name), 1 << 24);
  finish(plan, /*backwards=*/true);
  for (const auto& [name, content] : before)
    EXPECT_EQ(read_file(directory.file(name), 1 << 24), content) << name;
}

TEST_F(RunDirectoryTest, AMissingSampleIsNeverPaperedOver) {
  const Plan plan = this->plan();
  const RunDirectory directory = RunDirectory::of(plan.config);
  directory.create();
  Spool spool(directory.part_file("spool"), "h");
  spool.append(encode_sample(example_sample("cell_a", 0)));
  const Error error = error_of([&] { build_products(plan, spool, directory, Json::object()); });
  EXPECT_THAT(error.what(), HasSubstr("lacks"));
  EXPECT_FALSE(fs::exists(directory.file("samples.jsonl")));
  EXPECT_FALSE(fs::exists(directory.file("traces.h5")));
}

TEST_F(RunDirectoryTest, TheIndexFindsSamplesAndRefusesStrangers) {
  const Plan plan = this->plan();
  Spool spool(folder_.file("spool"), "h");
  spool.append(encode_sample(example_sample("cell_b", 1)));
  const SampleIndex index(plan, spool);
  EXPECT_EQ(index.size(), 1);
  EXPECT_TRUE(index.find(1, 1, 0));
  EXPECT_FALSE(index.find(0, 1, 0));
  EXPECT_FALSE(index.find(1, 1, 1));
  spool.append(encode_sample(example_sample("cell_x", 1)));
  EXPECT_EQ(error_of([&] { SampleIndex again(plan, spool); }).code(), ErrorCode::kConfig);
}

TEST_F(RunDirectoryTest, AnUnwritablePlaceIsAnErrorThatSaysSo) {
  write_file_atomically(folder_.file("example"), "a file where the folder should be");
  const Error error = error_of([&] { RunDirectory::of(plan().config).create(); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_THAT(error.what(), HasSubstr("--output"));
}

}  // namespace
}  // namespace surprisal
