#include "experiments/yoke.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "lib/draws.h"
#include "lib/error.h"
#include "samplers/chain_step.h"

namespace surprisal {
namespace {

std::optional<ActionKind> action_of(EventKind kind) {
  switch (kind) {
    case EventKind::kThink:
      return ActionKind::kThink;
    case EventKind::kBranch:
      return ActionKind::kBranch;
    case EventKind::kAsk:
      return ActionKind::kAsk;
    case EventKind::kRetrieve:
      return ActionKind::kRetrieve;
    default:
      return std::nullopt;
  }
}

struct Place {
  int64_t offset;  ///< tokens of the answer before it
  ActionKind kind;
};

std::vector<Place> places_of(const Sample& answer) {
  std::vector<Place> places;
  for (const EventRecord& event : answer.events) {
    const std::optional<ActionKind> kind = action_of(event.kind);
    if (!kind) continue;
    const Place place{event.position - answer.prompt_tokens, *kind};
    // A branch whose best ends tie asks before it is decided: one intervention.
    if (*kind == ActionKind::kBranch && !places.empty() && places.back().kind == ActionKind::kAsk &&
        places.back().offset == place.offset)
      places.pop_back();
    places.push_back(place);
  }
  if (std::ssize(places) != answer.interventions)
    throw Error(ErrorCode::kFormat,
                "cell " + answer.cell + ", problem " + std::to_string(answer.doc_id) + ": " +
                    std::to_string(answer.interventions) + " interventions, and events of " +
                    std::to_string(places.size()));
  return places;
}

/// Tokens that were put into the answer at a place, rather than chosen.
int64_t inserted_at(const Sample& answer, int64_t offset) {
  const auto inserted = [](const TokenRecord& token) {
    return token.source != TokenSource::kSampled && token.source != TokenSource::kBranch;
  };
  int64_t count = 0;
  while (offset + count < std::ssize(answer.tokens) &&
         inserted(answer.tokens[static_cast<size_t>(offset + count)]))
    ++count;
  return count;
}

}  // namespace

std::vector<PlannedIntervention> yoked_schedule(const Sample& answer, uint64_t draws_key) {
  const std::vector<Place> places = places_of(answer);
  if (places.empty()) return {};
  const Draws draws(draws_key, 0);
  uint32_t drawn = 0;
  const auto below = [&](int64_t count) {
    const double u = draws.uniform(kYokeDraw, drawn++);
    return static_cast<int64_t>(u * static_cast<double>(count));
  };

  std::vector<int64_t> gaps;
  for (size_t i = 1; i < places.size(); ++i)
    gaps.push_back(places[i].offset - places[i - 1].offset);
  for (size_t left = gaps.size(); left > 1; --left)
    std::swap(gaps[left - 1], gaps[static_cast<size_t>(below(static_cast<int64_t>(left)))]);

  const int64_t last = places.back().offset;
  const int64_t needed = last - places.front().offset + inserted_at(answer, last);
  std::vector<PlannedIntervention> schedule = {
      {below(std::max<int64_t>(1, answer.generated_tokens - needed)), places.front().kind}};
  for (size_t i = 1; i < places.size(); ++i) schedule.push_back({gaps[i - 1], places[i].kind});
  return schedule;
}

}  // namespace surprisal
