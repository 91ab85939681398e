#include "experiments/stepwise_story.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "lib/error.h"

namespace surprisal {
namespace {

constexpr int64_t kLargestValue = 999;

/// Levels 1 and 2 are kept within what a model of 135 million parameters sometimes can do: small
/// numbers, nothing but adding, multiplying and, since such a model hardly can, a little
/// subtracting (an event that subtracts is offered one time in kSubtractionOdds).
constexpr int64_t kEasyLevels = 2;
constexpr int64_t kEasyLowestOpening = 3, kEasyHighestOpening = 9, kEasyHighestNumber = 6;
constexpr int64_t kSubtractionOdds = 4;

bool is_offered(StepOperation operation, bool easy, StoryDraws& draws) {
  if (!easy) return true;
  if (operation == StepOperation::kSubtract) return draws.between(1, kSubtractionOdds) == 1;
  return operation == StepOperation::kAdd || operation == StepOperation::kMultiply;
}

struct Person {
  std::string_view name;
  bool is_she;
};
constexpr Person kPeople[] = {
    {"Ada", true},     {"Adam", false},   {"Aisha", true},  {"Alma", true},    {"Amir", false},
    {"Anna", true},    {"Anton", false},  {"Arjun", false}, {"Ben", false},    {"Bella", true},
    {"Carla", true},   {"Carlos", false}, {"Chen", false},  {"Clara", true},   {"Daniel", false},
    {"David", false},  {"Diana", true},   {"Elena", true},  {"Eli", false},    {"Emma", true},
    {"Erik", false},   {"Eva", true},     {"Fatima", true}, {"Felix", false},  {"Finn", false},
    {"Gina", true},    {"Grace", true},   {"Hana", true},   {"Hassan", false}, {"Hugo", false},
    {"Ida", true},     {"Ivan", false},   {"Jack", false},  {"James", false},  {"Jonas", false},
    {"Julia", true},   {"Kai", false},    {"Kofi", false},  {"Lea", true},     {"Leo", false},
    {"Lily", true},    {"Lucas", false},  {"Maria", true},  {"Marco", false},  {"Mei", true},
    {"Mia", true},     {"Mona", true},    {"Nina", true},   {"Noah", false},   {"Nora", true},
    {"Oliver", false}, {"Omar", false},   {"Oscar", false}, {"Paul", false},   {"Peter", false},
    {"Priya", true},   {"Rosa", true},    {"Ruth", true},   {"Sam", false},    {"Sara", true},
    {"Sofia", true},   {"Stella", true},  {"Tariq", false}, {"Tom", false},    {"Uma", true},
    {"Victor", false}, {"Wanda", true},   {"Yara", true},   {"Yusuf", false},  {"Zoe", true},
};

/// Who is in a story: fills the placeholders of a scene's texts.
class Cast {
 public:
  explicit Cast(StoryDraws& draws) {
    constexpr int64_t kCount = std::size(kPeople);
    const int64_t hero = draws.between(0, kCount - 1);
    const int64_t other = draws.between(0, kCount - 2);
    hero_ = kPeople[hero];
    friend_ = kPeople[other < hero ? other : other + 1].name;
  }

  std::string fill(std::string_view text, int64_t number) const {
    std::string result;
    while (true) {
      const size_t open = text.find('{');
      result += text.substr(0, open);
      if (open == std::string_view::npos) return result;
      const size_t close = text.find('}', open);
      result += value(text.substr(open + 1, close - open - 1), number);
      text.remove_prefix(close + 1);
    }
  }

 private:
  std::string value(std::string_view placeholder, int64_t number) const {
    if (placeholder == "n") return std::to_string(number);
    if (placeholder == "name") return std::string(hero_.name);
    if (placeholder == "friend") return std::string(friend_);
    if (placeholder == "he") return hero_.is_she ? "she" : "he";
    if (placeholder == "He") return hero_.is_she ? "She" : "He";
    if (placeholder == "his") return hero_.is_she ? "her" : "his";
    if (placeholder == "His") return hero_.is_she ? "Her" : "His";
    if (placeholder == "him") return hero_.is_she ? "her" : "him";
    throw Error(ErrorCode::kInternal,
                "stepwise: no placeholder {" + std::string(placeholder) + "}");
  }

  Person hero_{};
  std::string_view friend_;
};

/// An event with its number settled: value `symbol` operand = result, as it is written down.
struct Step {
  const SceneEvent* event;
  int64_t number;  ///< as the text names it
  int64_t left, right, result;
  char symbol;
};

/// The numbers for which an event makes sense at this value; one is drawn, nullopt = there is none.
std::optional<Step> settle(const SceneEvent& event, int64_t value, bool easy, StoryDraws& draws) {
  const int64_t high = easy ? std::min(event.high, kEasyHighestNumber) : event.high;
  std::vector<Step> possible;
  for (int64_t n = event.low; n <= high; ++n) switch (event.operation) {
      case StepOperation::kAdd:
        possible.push_back({&event, n, value, n, value + n, '+'});
        break;
      case StepOperation::kSubtract:
        possible.push_back({&event, n, value, n, value - n, '-'});
        break;
      case StepOperation::kMultiply:
        possible.push_back({&event, n, value, n, value * n, '*'});
        break;
      case StepOperation::kDivide:
        if (value % n == 0 && value > n) possible.push_back({&event, n, value, n, value / n, '/'});
        break;
      case StepOperation::kSubtractFrom:
        possible.push_back({&event, value + n, value + n, value, n, '-'});
        break;
    }
  std::erase_if(possible,
                [](const Step& step) { return step.result < 1 || step.result > kLargestValue; });
  if (possible.empty()) return std::nullopt;
  return possible[static_cast<size_t>(draws.between(0, static_cast<int64_t>(possible.size()) - 1))];
}

}  // namespace

int64_t StoryDraws::between(int64_t low, int64_t high) {
  if (used_ % 4 == 0) {
    counter_[3] = used_ / 4;
    words_ = philox4x32_10(counter_, key_);
  }
  const uint64_t word = words_[used_++ % 4];
  return low + static_cast<int64_t>((word * static_cast<uint64_t>(high - low + 1)) >> 32);
}

std::string Story::question() const {
  std::string text;
  for (const std::string& sentence : sentences) text += sentence + ' ';
  return text + closing;
}

std::string Story::solution() const {
  std::string text = sentences.front();
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string& sentence = sentences[i + 1];
    text += ' ' + sentence.substr(0, sentence.size() - 1) + ": " + steps[i] + '.';
  }
  return text + " The answer is " + std::to_string(answer) + '.';
}

std::optional<Story> tell_story(const Scene& scene, int64_t level, StoryDraws& draws) {
  const Cast cast(draws);
  Story story;
  const bool easy = level <= kEasyLevels;
  int64_t value = easy ? draws.between(kEasyLowestOpening, kEasyHighestOpening)
                       : draws.between(scene.low, scene.high);
  int unit = 0;
  story.sentences.push_back(cast.fill(scene.opening, value));
  story.template_id = scene.id;
  std::vector<const SceneEvent*> left;
  for (const SceneEvent& event : scene.events) left.push_back(&event);
  for (int64_t step_number = 0; step_number < level; ++step_number) {
    std::vector<Step> possible;
    for (const SceneEvent* event : left)
      if (event->from == unit && is_offered(event->operation, easy, draws))
        if (const auto step = settle(*event, value, easy, draws)) possible.push_back(*step);
    if (possible.empty()) return std::nullopt;
    const Step step =
        possible[static_cast<size_t>(draws.between(0, static_cast<int64_t>(possible.size()) - 1))];
    story.sentences.push_back(cast.fill(step.event->text, step.number));
    story.template_id.append(step_number == 0 ? "/" : "-").append(step.event->id);
    story.operations += step.symbol;
    story.steps.push_back(std::to_string(step.left) + ' ' + step.symbol + ' ' +
                          std::to_string(step.right) + " = " + std::to_string(step.result));
    value = step.result;
    unit = step.event->to;
    std::erase(left, step.event);
  }
  story.closing = cast.fill(scene.questions[static_cast<size_t>(unit)], value);
  story.answer = value;
  return story;
}

}  // namespace surprisal
