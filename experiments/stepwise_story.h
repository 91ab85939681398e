#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiments/stepwise_scenes.h"
#include "lib/philox.h"

namespace surprisal {

/// The random numbers of one attempt at one problem: words 0, 1, 2, ... of Philox4x32-10 with
/// key = generator seed and counter = (stream, problem, attempt, word / 4).
class StoryDraws {
 public:
  StoryDraws(uint64_t generator_seed, uint32_t stream, uint32_t problem, uint32_t attempt)
      : key_{static_cast<uint32_t>(generator_seed), static_cast<uint32_t>(generator_seed >> 32)},
        counter_{stream, problem, attempt, 0} {}

  /// Uniform in [low, high], high - low < 2^16 (the bias is below 2^-16 of a probability).
  int64_t between(int64_t low, int64_t high);

 private:
  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter words_{};
  uint32_t used_ = 0;
};

/// A word problem and its calculation.
struct Story {
  std::string template_id;             ///< "apples/pick-pies": scene and events in order
  std::vector<std::string> sentences;  ///< the opening, then an event a step
  std::string closing;                 ///< what is asked
  std::vector<std::string> steps;      ///< "12 + 6 = 18"
  std::string operations;              ///< of the steps in order, "+/"
  int64_t answer = 0;

  /// The whole problem as one line of text.
  std::string question() const;
  /// A model answer: every sentence with its step, "..., 6 in each pie: 18 / 6 = 3. The answer
  /// is 3."
  std::string solution() const;
};

/// Lets `level` events happen in a scene. Levels 1 and 2 are easier than the rest in more than
/// their length: the opening is 3 to 9, numbers go up to 6, no division, little subtraction.
/// @return nullopt when the walk runs into a dead end: no event is left that the unit and the
///         numbers allow
std::optional<Story> tell_story(const Scene& scene, int64_t level, StoryDraws& draws);

}  // namespace surprisal
