#include "experiments/stepwise.h"

#include <set>
#include <span>

#include "experiments/prompt.h"
#include "experiments/scorers.h"
#include "experiments/stepwise_scenes.h"
#include "experiments/stepwise_story.h"
#include "lib/error.h"
#include "lib/sha256.h"

namespace surprisal {
namespace {

constexpr int64_t kHighestLevel = 6;
constexpr int64_t kMostPerLevel = 1000;
constexpr uint32_t kAttempts = 1000;
constexpr int64_t kAnswerTokens = 96;  // a solution like the examples' needs about 12 a step

const std::vector<Shot>& shots() {
  static const std::vector<Shot> table = {};
  return table;
}

void check(const StepwiseOptions& options) {
  const auto refuse = [](const std::string& message) {
    throw Error(ErrorCode::kConfig, "task stepwise: " + message);
  };
  if (options.split != "test" && options.split != "dev")
    refuse("there is no split '" + options.split + "'; it has 'test' and 'dev'");
  if (options.levels.empty()) refuse("`levels` is empty; name at least one from 1 to 6");
  std::set<int64_t> seen;
  for (const int64_t level : options.levels) {
    if (level < 1 || level > kHighestLevel)
      refuse("level " + std::to_string(level) + " is not one from 1 to 6");
    if (!seen.insert(level).second)
      refuse("level " + std::to_string(level) + " stands twice in `levels`");
  }
  if (options.n_per_level < 1 || options.n_per_level > kMostPerLevel)
    refuse("`n_per_level` is " + std::to_string(options.n_per_level) + "; it can be 1 to " +
           std::to_string(kMostPerLevel));
}

class StepwiseTask : public Task {
 public:
  explicit StepwiseTask(const StepwiseOptions& options) : options_(options) {
    check(options);
    for (int64_t j = 0; j < options.n_per_level; ++j)
      for (const int64_t level : options.levels) add_problem(level, static_cast<uint32_t>(j));
    std::string lines;
    for (const Problem& problem : problems_)
      lines += canonical_json({{"prompt", problem.prompt},
                               {"target", problem.target},
                               {"tags", Json(problem.tags)}}) +
               '\n';
    data_sha256_ = sha256_hex(lines);
  }

  const std::vector<Problem>& problems() const override { return problems_; }
  const std::vector<std::string>& stop_strings() const override { return stops_; }
  int64_t default_max_new_tokens() const override { return kAnswerTokens; }
  Score score(const Problem& problem, const std::string& response) const override {
    return score_answer(kCotAnswer, response, problem.target);
  }
  std::string version() const override { return "stepwise v1"; }
  std::string data_sha256() const override { return data_sha256_; }

 private:
  std::span<const Scene> scenes() const {
    return options_.split == "dev" ? stepwise_dev_scenes() : stepwise_test_scenes();
  }

  /// Numbers no two problems share: the template, and the numbers of its calculation.
  static std::string fingerprint(const Story& story) {
    std::string result = story.template_id;
    for (const std::string& step : story.steps) result += ';' + step;
    return result;
  }

  void add_problem(int64_t level, uint32_t index) {
    const uint32_t stream =
        static_cast<uint32_t>(level) + (options_.split == "dev" ? uint32_t{0x100} : 0);
    const Scene& scene = scenes()[index % scenes().size()];
    for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
      StoryDraws draws(options_.generator_seed, stream, index, attempt);
      const auto story = tell_story(scene, level, draws);
      if (!story || !told_.insert(fingerprint(*story)).second) continue;
      Problem& problem = problems_.emplace_back();
      problem.doc_id = static_cast<int64_t>(problems_.size()) - 1;
      problem.question_sha256 = sha256_hex(story->question);
      problem.target = std::to_string(story->answer);
      problem.tags = {
          {"level", level}, {"template_id", story->template_id}, {"steps", story->steps}};
      ask(problem, shots(), "Question: " + story->question + "\nAnswer:", " ");
      return;
    }
    throw Error(ErrorCode::kConfig, "task stepwise: no " + std::to_string(index + 1) +
                                        " different problems of level " + std::to_string(level) +
                                        " could be found; ask for fewer with `n_per_level`");
  }

  StepwiseOptions options_;
  std::vector<std::string> stops_ = {"Question:"};
  std::set<std::string> told_;
  std::vector<Problem> problems_;
  std::string data_sha256_;
};

}  // namespace

std::unique_ptr<Task> make_stepwise_task(const StepwiseOptions& options) {
  return std::make_unique<StepwiseTask>(options);
}

}  // namespace surprisal
