#include "experiments/stepwise.h"

#include <algorithm>
#include <map>
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
/// After so many of them a scene has told all it can, and the next one is tried.
constexpr uint32_t kAttemptsPerScene = 100;
/// What a solution like the examples' needs at most, in tokens.
constexpr int64_t kTokensOfAnAnswer = 40, kTokensOfAStep = 24;

/// Streams of StoryDraws: the problems of a level and split, and the examples of a level.
constexpr uint32_t kDevStream = 0x100, kExampleStream = 0x200;

/// "Question:" is what a model writes that goes on to ask the next one: it ends an answer.
constexpr std::string_view kQuestion = "Question:";
std::string user_text(const Story& story) {
  return std::string(kQuestion) + ' ' + story.question() + "\nAnswer:";
}

/// Three worked examples with as many steps as the problem, so that a small model sees how far to
/// calculate; the same for every problem of a level.
std::vector<Shot> worked_examples(int64_t level) {
  constexpr std::string_view kOneStep[] = {"+", "*", "+"}, kMoreSteps[] = {"++", "*+", "+*"};
  const auto example = [&](const Scene& scene, size_t number) {
    const std::string_view operations = level == 1 ? kOneStep[number] : kMoreSteps[number];
    for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
      StoryDraws draws(0, kExampleStream + static_cast<uint32_t>(level),
                       static_cast<uint32_t>(number), attempt);
      const auto story = tell_story(scene, level, draws);
      if (story && story->operations.starts_with(operations)) return *story;
    }
    throw Error(ErrorCode::kInternal,
                "stepwise: no example of level " + std::to_string(level) + " was found");
  };
  std::vector<Shot> shots;
  for (const Scene& scene : stepwise_example_scenes()) {
    const Story story = example(scene, shots.size());
    shots.push_back({user_text(story), story.solution()});
  }
  return shots;
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
    for (const int64_t level : options.levels) shots_[level] = worked_examples(level);
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
  int64_t default_max_new_tokens() const override {
    return kTokensOfAnAnswer +
           kTokensOfAStep * *std::max_element(options_.levels.begin(), options_.levels.end());
  }
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
        static_cast<uint32_t>(level) + (options_.split == "dev" ? kDevStream : 0);
    for (uint32_t attempt = 0; attempt < kAttempts; ++attempt) {
      const Scene& scene = scenes()[(index + attempt / kAttemptsPerScene) % scenes().size()];
      StoryDraws draws(options_.generator_seed, stream, index, attempt);
      const auto story = tell_story(scene, level, draws);
      if (!story || !told_.insert(fingerprint(*story)).second) continue;
      Problem& problem = problems_.emplace_back();
      problem.doc_id = static_cast<int64_t>(problems_.size()) - 1;
      problem.question_sha256 = sha256_hex(story->question());
      problem.target = std::to_string(story->answer);
      problem.tags = {
          {"level", level}, {"template_id", story->template_id}, {"steps", story->steps}};
      ask(problem, shots_.at(level), user_text(*story), " ");
      return;
    }
    throw Error(ErrorCode::kConfig, "task stepwise: no " + std::to_string(index + 1) +
                                        " different problems of level " + std::to_string(level) +
                                        " could be found; ask for fewer with `n_per_level`");
  }

  StepwiseOptions options_;
  std::vector<std::string> stops_ = {std::string(kQuestion)};
  std::map<int64_t, std::vector<Shot>> shots_;  ///< by level
  std::set<std::string> told_;
  std::vector<Problem> problems_;
  std::string data_sha256_;
};

}  // namespace

std::unique_ptr<Task> make_stepwise_task(const StepwiseOptions& options) {
  return std::make_unique<StepwiseTask>(options);
}

}  // namespace surprisal
