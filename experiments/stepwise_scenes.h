#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace surprisal {

/// What an event does to the quantity a story is about. `n` is the number the event's text names.
enum class StepOperation : uint8_t {
  kAdd,           ///< quantity + n
  kSubtract,      ///< quantity - n
  kMultiply,      ///< quantity * n
  kDivide,        ///< quantity / n, without remainder
  kSubtractFrom,  ///< n - quantity (change from a banknote)
};

/// One sentence that changes the quantity: one step of reasoning. In all texts {n} is the number,
/// {name} and {friend} two people, {he} {He} {his} {His} {him} the pronouns of the first.
struct SceneEvent {
  std::string_view id;
  StepOperation operation;
  int64_t low, high;  ///< range of n, inclusive; for kSubtractFrom of n - quantity
  int from, to;       ///< unit of the quantity before and after, an index of Scene::questions
  std::string_view text;
};

/// A small world: how it begins, what may happen in it, and what is asked in the end. Each event
/// happens at most once in a problem, in any order that the units allow, so every sentence must
/// make sense wherever it stands.
struct Scene {
  std::string_view id;
  int64_t low, high;  ///< range of the opening's {n}; its unit is 0
  std::string_view opening;
  std::vector<std::string_view> questions;  ///< by unit
  std::vector<SceneEvent> events;
};

/// The scenes of the two splits; no sentence of one occurs in the other.
std::span<const Scene> stepwise_dev_scenes();
std::span<const Scene> stepwise_test_scenes();
/// Three scenes of neither split, for the worked examples in the prompts.
std::span<const Scene> stepwise_example_scenes();

}  // namespace surprisal
