#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lib/json.h"
#include "samplers/sampler.h"

namespace surprisal {

/// What other thresholds would have made of a recorded answer.
enum class ReplayOutcome {
  kSame,         ///< every decision comes out alike, the last one included: the same answer
  kChanged,      ///< another token at `position`
  kUndecidable,  ///< from `position` on the trace lacks what is needed; `reason` says what
};

struct ReplayedAnswer {
  std::string cell;  ///< of the recorded answer
  int64_t doc_id = 0, repeat = 0;
  ReplayOutcome outcome = ReplayOutcome::kUndecidable;
  int64_t position = -1;  ///< in the context, from the prompt's first token; -1 for kSame
  std::string reason;     ///< "" for kSame
};

/// Takes recorded answers through a quadrant sampler with other parameters, without the model. The
/// sampler itself is run on the recorded statistics beside one with the recorded parameters, whose
/// decisions must be those in the trace.
///
/// An argmax in place of a draw is decided by the drawn token's rank; a draw in place of an argmax,
/// or from another chain, is undecidable, and so is a signal within kReplayTolerance of a threshold
/// (a run may differ in the last bits of its arithmetic), a gate that reads attention or asks for a
/// fork, and any action that branches, retrieves or asks.
///
/// @param run        directory of a finished run, its model folder still in place (for its
///                   tokenizer)
/// @param overrides  "samplers.NAME.key=value"; cells of the samplers named are replayed
/// @param cell       only this one; "" = all of those samplers
/// @throws Error(kUsage) on other keys and on names that mean nothing; Error(kUnsupported) for
///         samplers other than quadrant; Error(kIo, kFormat, kConfig)
std::vector<ReplayedAnswer> replay_run(const std::string& run,
                                       std::span<const std::string> overrides,
                                       const std::string& cell, const SamplerRegistry& registry);

/// Relative, of a threshold.
inline constexpr double kReplayTolerance = 1e-4;

Json replayed_answer_json(const ReplayedAnswer& answer);
/// For a terminal: how many of each, by cell and reason.
std::string replay_text(const std::vector<ReplayedAnswer>& answers);

}  // namespace surprisal
