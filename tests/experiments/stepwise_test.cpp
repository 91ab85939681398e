#include "experiments/stepwise.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "experiments/stepwise_scenes.h"
#include "lib/error.h"

namespace surprisal {
namespace {

const std::vector<int64_t> kAllLevels = {1, 2, 3, 4, 5, 6};

Json tag(const Problem& problem, const std::string& key) {
  for (const auto& [name, value] : problem.tags)
    if (name == key) return value;
  return nullptr;
}

std::string question(const Problem& problem) {
  return problem.messages.back().content;
}

std::vector<int64_t> numbers_in(const std::string& text) {
  static const std::regex digits("[0-9]+");
  std::vector<int64_t> numbers;
  for (std::sregex_iterator at(text.begin(), text.end(), digits), end; at != end; ++at)
    numbers.push_back(std::stoll(at->str()));
  return numbers;
}

/// Recomputes the answer from the recorded steps; checks that each goes on where the last ended.
int64_t evaluate(const Problem& problem) {
  static const std::regex form("([0-9]+) ([-+*/]) ([0-9]+) = ([0-9]+)");
  int64_t value = numbers_in(question(problem)).front();
  for (const Json& step : tag(problem, "steps")) {
    std::smatch match;
    const std::string text = step;
    EXPECT_TRUE(std::regex_match(text, match, form)) << text;
    const int64_t left = std::stoll(match[1]), right = std::stoll(match[3]);
    EXPECT_TRUE(left == value || (match[2] == "-" && right == value)) << text << " after " << value;
    switch (match[2].str()[0]) {
      case '+':
        value = left + right;
        break;
      case '-':
        value = left - right;
        break;
      case '*':
        value = left * right;
        break;
      default:
        EXPECT_EQ(left % right, 0) << text;
        value = left / right;
    }
    EXPECT_EQ(value, std::stoll(match[4])) << text;
    EXPECT_GE(value, 1) << text;
    EXPECT_LE(value, 999) << text;
  }
  return value;
}

class Stepwise : public testing::TestWithParam<const char*> {};

TEST_P(Stepwise, AnswersFollowFromTheSteps) {
  const auto task =
      make_stepwise_task({.split = GetParam(), .levels = kAllLevels, .n_per_level = 200});
  ASSERT_EQ(task->problems().size(), 1200u);
  for (const Problem& problem : task->problems()) {
    EXPECT_EQ(std::to_string(evaluate(problem)), problem.target) << question(problem);
    EXPECT_EQ(tag(problem, "steps").size(), tag(problem, "level")) << question(problem);
    // A perfect answer is scored as one.
    EXPECT_TRUE(task->score(problem, "The answer is " + problem.target + ".").strict);
    EXPECT_FALSE(task->score(problem, "The answer is " + problem.target + "1.").numeric);
  }
}

TEST_P(Stepwise, EveryNumberOfTheCalculationStandsInTheText) {
  const auto task =
      make_stepwise_task({.split = GetParam(), .levels = kAllLevels, .n_per_level = 100});
  for (const Problem& problem : task->problems()) {
    const std::vector<int64_t> numbers = numbers_in(question(problem));
    std::multiset<int64_t> written(numbers.begin(), numbers.end());
    const bool in_words = question(problem).find("half") != std::string::npos ||
                          question(problem).find("Half") != std::string::npos ||
                          question(problem).find("twice") != std::string::npos ||
                          question(problem).find("double") != std::string::npos;
    EXPECT_EQ(numbers.size() + in_words, tag(problem, "level").get<size_t>() + 1)
        << question(problem);
    EXPECT_EQ(question(problem).find_first_of("{}"), std::string::npos) << question(problem);
  }
}

TEST_P(Stepwise, NoProblemComesTwice) {
  for (const uint64_t seed : {0, 1, 2}) {
    const auto task = make_stepwise_task(
        {.split = GetParam(), .levels = kAllLevels, .n_per_level = 1000, .generator_seed = seed});
    std::set<std::string> texts, hashes;
    std::set<std::pair<std::string, std::string>> calculations;
    for (const Problem& problem : task->problems()) {
      texts.insert(question(problem));
      hashes.insert(problem.question_sha256);
      calculations.emplace(tag(problem, "template_id"), tag(problem, "steps").dump());
    }
    EXPECT_EQ(texts.size(), 6000u);
    EXPECT_EQ(hashes.size(), 6000u);
    EXPECT_EQ(calculations.size(), 6000u);
  }
}

TEST_P(Stepwise, IsVaried) {
  const auto task = make_stepwise_task({.split = GetParam(), .levels = {1, 2, 6}});
  std::map<int64_t, std::set<std::string>> templates;
  for (const Problem& problem : task->problems())
    templates[tag(problem, "level")].insert(tag(problem, "template_id"));
  EXPECT_GE(templates[1].size(), 25u);
  EXPECT_GE(templates[2].size(), 60u);
  EXPECT_GE(templates[6].size(), 80u);
}

TEST_P(Stepwise, MoreProblemsLeaveTheFirstOnesAsTheyWere) {
  const auto few = make_stepwise_task({.split = GetParam(), .levels = {2}, .n_per_level = 20});
  const auto many = make_stepwise_task({.split = GetParam(), .levels = {1, 2}, .n_per_level = 50});
  for (size_t j = 0; j < few->problems().size(); ++j)
    EXPECT_EQ(few->problems()[j].prompt, many->problems()[2 * j + 1].prompt);
}

INSTANTIATE_TEST_SUITE_P(Splits, Stepwise, testing::Values("test", "dev"));

TEST(StepwiseSplits, ShareNoSentence) {
  std::set<std::string_view> dev;
  const auto each_text = [](const Scene& scene, const auto& visit) {
    visit(scene.id);
    visit(scene.opening);
    for (const std::string_view text : scene.questions) visit(text);
    for (const SceneEvent& event : scene.events) visit(event.text);
  };
  for (const Scene& scene : stepwise_dev_scenes())
    each_text(scene, [&](std::string_view text) { dev.insert(text); });
  for (const Scene& scene : stepwise_test_scenes())
    each_text(scene, [&](std::string_view text) { EXPECT_FALSE(dev.contains(text)) << text; });
}

TEST(StepwiseScenes, AreWellFormed) {
  for (const auto scenes : {stepwise_dev_scenes(), stepwise_test_scenes()}) {
    std::set<std::string_view> ids;
    for (const Scene& scene : scenes) {
      EXPECT_TRUE(ids.insert(scene.id).second) << scene.id;
      EXPECT_LE(scene.low, scene.high) << scene.id;
      std::set<std::string_view> events;
      const int units = static_cast<int>(scene.questions.size());
      for (const SceneEvent& event : scene.events) {
        EXPECT_TRUE(events.insert(event.id).second) << scene.id << '/' << event.id;
        EXPECT_GE(event.low, 1) << event.text;
        EXPECT_LE(event.low, event.high) << event.text;
        EXPECT_TRUE(event.from >= 0 && event.from < units && event.to >= 0 && event.to < units)
            << event.text;
        // "half" and "twice" need no number in the text; every other event names its own.
        const bool names_its_number = event.text.find("{n}") != std::string_view::npos;
        EXPECT_TRUE(names_its_number || (event.low == 2 && event.high == 2)) << event.text;
      }
    }
  }
}

TEST(StepwiseData, NeverChangesSilently) {
  EXPECT_EQ(make_stepwise_task({})->data_sha256(),
            "c387fcac77727fd5e44d8dd8b32a948fc51c32ce3b375f891161fc293a2b245b");
  EXPECT_EQ(make_stepwise_task({.split = "dev", .levels = kAllLevels, .generator_seed = 7})
                ->data_sha256(),
            "450871676f6e1b41652d26cc7d8ca40072d7e4af442fd88f16d36b7133049fc5");
}

TEST(StepwiseData, SeedAndSplitMatter) {
  const std::string base = make_stepwise_task({})->data_sha256();
  EXPECT_NE(make_stepwise_task({.generator_seed = 1})->data_sha256(), base);
  EXPECT_NE(make_stepwise_task({.generator_seed = uint64_t{1} << 32})->data_sha256(), base);
  EXPECT_NE(make_stepwise_task({.split = "dev"})->data_sha256(), base);
}

TEST(StepwiseOptionsTest, AreChecked) {
  const auto refused = [](const StepwiseOptions& options) {
    try {
      make_stepwise_task(options);
    } catch (const Error& error) {
      return error.code() == ErrorCode::kConfig;
    }
    return false;
  };
  EXPECT_TRUE(refused({.split = "train"}));
  EXPECT_TRUE(refused({.levels = {}}));
  EXPECT_TRUE(refused({.levels = {0}}));
  EXPECT_TRUE(refused({.levels = {7}}));
  EXPECT_TRUE(refused({.levels = {1, 1}}));
  EXPECT_TRUE(refused({.n_per_level = 0}));
  EXPECT_TRUE(refused({.n_per_level = 1001}));
}

}  // namespace
}  // namespace surprisal
