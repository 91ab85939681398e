#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "samplers/greedy.h"
#include "tests/experiments/fake_model.h"

namespace surprisal::testing {

/// A task of `count` problems that asks nothing in particular.
class PlainTask : public Task {
 public:
  explicit PlainTask(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      Problem& problem = problems_.emplace_back();
      problem.doc_id = i;
      problem.question_sha256 = "q" + std::to_string(i);
    }
  }
  const std::vector<Problem>& problems() const override { return problems_; }
  const std::vector<std::string>& stop_strings() const override { return stop_strings_; }
  int64_t default_max_new_tokens() const override { return 8; }
  Score score(const Problem&, const std::string&) const override { return {}; }
  std::string version() const override { return "plain v1"; }
  std::string data_sha256() const override { return "data"; }

 private:
  std::vector<Problem> problems_;
  std::vector<std::string> stop_strings_;
};

/// A plan of two cells, greedy with two seeds, over `problems` problems; made by hand, no files.
inline Plan example_plan(int64_t problems, int64_t repeats, const std::string& output) {
  Plan plan;
  plan.config.name = "example";
  plan.config.output = output;
  plan.config.repeats = repeats;
  plan.config.resolved = {{"name", "example"}};
  plan.models.push_back(PlannedModel{
      .spec = {.path = "models/fake", .options = {}, .calibration = {}},
      .config = FakeModel().config(),
      .provenance = {.path = "models/fake", .weights_sha256 = "w", .provenance = "made up"},
      .config_sha256 = "c",
      .placement = {at::kCPU, at::kFloat},
      .tokenizer = std::make_unique<LetterTokenizer>(),
      .chat = nullptr});
  PlannedTask& task = plan.tasks.emplace_back();
  task.spec.name = "plain";
  task.task = std::make_unique<PlainTask>(problems);
  auto& prompts = plan.prompts[{0, 0}];
  for (size_t i = 0; i < static_cast<size_t>(problems); ++i) {
    task.problems.push_back(i);
    prompts.push_back({i, "abc", {0, 1, 2}});
  }
  for (const char* id : {"cell_a", "cell_b"}) {
    Cell& cell = plan.cells.emplace_back();
    cell.id = id;
    cell.sampler_name = "greedy";
    cell.sampler = std::make_unique<Greedy>();
    cell.swept = {{"seed", id == std::string("cell_a") ? 1 : 2}};
    cell.max_new_tokens = 8;
  }
  plan.identity = {{"name", "example"}, {"seed", 0}};
  plan.config_sha256 = "0123";
  return plan;
}

}  // namespace surprisal::testing
