#include "experiments/experiment_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/config_tree.h"
#include "tests/experiments/temporary_folder.h"

namespace surprisal {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

constexpr const char* kMinimal =
    "name: x\nmodel: {path: m}\ntask: {name: t}\nsamplers: {g: {type: greedy}}\n";

ExperimentConfig read(const std::string& text) {
  return read_experiment(parse_yaml(text, "a.yaml"), "a.yaml");
}

TEST(ExperimentConfig, FillsInEveryDefault) {
  const ExperimentConfig config = read(kMinimal);
  EXPECT_EQ(config.seed, 0U);
  EXPECT_EQ(config.repeats, 1);
  EXPECT_EQ(config.output, "runs");
  EXPECT_EQ(config.engine.batch, 0);
  EXPECT_TRUE(config.engine.sharing);
  EXPECT_EQ(config.engine.trace.top_k, 5);
  EXPECT_EQ(config.engine.trace.attention, TraceOptions::Attention::kSummary);
  ASSERT_EQ(config.tasks.size(), 1U);
  EXPECT_EQ(config.tasks[0].options.split, "test");
  EXPECT_TRUE(config.tasks[0].options.chat_template);
  EXPECT_FALSE(config.tasks[0].limit);
  EXPECT_EQ(config.resolved.at("models").at(0).at("dtype"), "auto");
  EXPECT_EQ(config.resolved.at("engine").at("mode"), "fast");
}

TEST(ExperimentConfig, NullLeavesASectionOut) {
  const ExperimentConfig config =
      read(std::string(kMinimal) + "tune: ~\ncounterfactual: null\nanalysis: ~\n");
  EXPECT_FALSE(config.tune || config.analysis);
  EXPECT_EQ(config.resolved, read(kMinimal).resolved);
}

TEST(ExperimentConfig, ReadsWhatIsWritten) {
  const ExperimentConfig config = read(
      "name: x\nseed: 7\nrepeats: 3\noutput: out\n"
      "models: [{path: a, dtype: float32}, {path: b, device: 'cuda:1'}]\n"
      "tasks: [{name: t, limit: 4, chat_template: false}, {name: u, ids: [3, 1], levels: [1]}]\n"
      "samplers: {g: {type: greedy}, h: {type: chain, steps: []}}\n"
      "engine: {batch: 3, mode: fast, sharing: false}\n"
      "trace: {top_k: 0, attention: heads, logits: f16}\n");
  EXPECT_EQ(config.seed, 7U);
  EXPECT_EQ(config.models.at(1).options.device, "cuda:1");
  EXPECT_EQ(config.tasks.at(0).limit, 4);
  EXPECT_FALSE(config.tasks.at(0).options.chat_template);
  EXPECT_THAT(config.tasks.at(1).ids, ::testing::ElementsAre(3, 1));
  EXPECT_EQ(config.samplers.at(1).name, "h");
  EXPECT_EQ(config.engine.batch, 3);
  EXPECT_FALSE(config.engine.sharing);
  EXPECT_TRUE(config.engine.trace.logits_f16);
  // The file a run leaves behind says the same.
  const ExperimentConfig again = read(yaml_text(config.resolved));
  EXPECT_EQ(again.resolved, config.resolved);
}

TEST(ExperimentConfig, ErrorsNameTheLineAndTheKey) {
  struct Case {
    std::string text;
    ErrorCode code;
    std::string complaint;
  };
  const std::string base = kMinimal;
  for (const Case& c : std::vector<Case>{
           {base + "sed: 3\n", ErrorCode::kUnknownName, "a.yaml:5: experiment: unknown key 'sed'"},
           {base + "engine: {bach: 3}\n", ErrorCode::kUnknownName, "did you mean 'batch'?"},
           {base + "trace:\n  top_k: -1\n", ErrorCode::kConfig, "a.yaml:6"},
           {base + "models: [{path: b}]\n", ErrorCode::kConfig, "give either `model` or `models`"},
           {base + "engine: {mode: exact}\n", ErrorCode::kConfig, "strict"},
           {base + "trace: {attention: map}\n", ErrorCode::kConfig, "'maps'"},
           {base + "tune: {limit: 5}\n", ErrorCode::kConfig, "split"},
           {base + "tune: {split: train, scorer: lenient}\n", ErrorCode::kConfig, "lenient"},
           {base + "tune: {split: train, keep: 0}\n", ErrorCode::kConfig, "keep"},
           {base + "repeats: 0\n", ErrorCode::kConfig, "repeats"},
           {"name: ../x\n", ErrorCode::kConfig, "plain name"},
           {"name: x\nmodel: {path: m, dtipe: f}\n", ErrorCode::kUnknownName,
            "did you mean 'dtype'?"},
           {"name: x\nmodel: {}\n", ErrorCode::kConfig, "'path' is required"},
           {"name: x\nmodel: {path: m}\ntask: {name: t, limit: 0}\n", ErrorCode::kConfig, ">= 1"},
           {"name: x\nmodel: {path: m}\ntask: {name: t, limit: 1, ids: [1]}\n", ErrorCode::kConfig,
            "either limit or ids"},
           {"name: x\nmodel: {path: m}\ntask: {name: t, ids: [1, 1]}\n", ErrorCode::kConfig,
            "twice"},
           {"name: x\nmodel: {path: m}\ntask: {name: t}\n", ErrorCode::kConfig, "named samplers"},
           {"name: x\nmodel: {path: m}\ntask: {name: t}\nsamplers: {a.b: {type: greedy}}\n",
            ErrorCode::kConfig, "no dots"}}) {
    const Error error = error_of([&] { read(c.text); });
    EXPECT_EQ(error.code(), c.code) << c.text << error.what();
    EXPECT_THAT(error.what(), HasSubstr(c.complaint)) << c.text;
    EXPECT_THAT(error.what(), HasSubstr("a.yaml")) << c.text;
  }
}

TEST(ExperimentConfig, ATaskReadsItsOwnKeysStrictly) {
  const TaskRegistry registry = builtin_tasks();
  const auto create = [&](const std::string& task, Json* resolved) {
    const ExperimentConfig config =
        read("name: x\nmodel: {path: m}\ntask: " + task + "\nsamplers: {g: {type: greedy}}\n");
    return create_task(registry, config.tasks.at(0), "a.yaml", resolved);
  };
  Json resolved;
  const auto task = create("{name: stepwise, levels: [1, 2], n_per_level: 3}", &resolved);
  EXPECT_EQ(task->problems().size(), 6U);
  EXPECT_EQ(resolved.at("generator_seed"), 0);
  EXPECT_EQ(resolved.at("split"), "test");
  const Error misspelt = error_of([&] { create("{name: stepwise, levls: [1]}", nullptr); });
  EXPECT_EQ(misspelt.code(), ErrorCode::kUnknownName);
  EXPECT_THAT(misspelt.what(), HasSubstr("did you mean 'levels'?"));
  EXPECT_THAT(error_of([&] { create("{name: stepwize}", nullptr); }).what(),
              HasSubstr("did you mean 'stepwise'?"));
}

}  // namespace
}  // namespace surprisal
