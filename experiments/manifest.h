#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experiments/plan.h"
#include "lib/json.h"

namespace surprisal {

/// What one start of a program did for a run. Wall-clock figures stand here and in no result.
struct Session {
  std::vector<std::string> command;
  std::string started, ended;  ///< UTC, "2026-01-31T12:00:00Z"
  double seconds = 0;
  int64_t threads = 0;
  Json engine;                   ///< `engine:` as resolved, and the batch chosen for `auto`
  int64_t samples = 0;           ///< answers finished
  int64_t computed_tokens = 0;   ///< tokens the model really processed, after sharing
  int64_t requested_tokens = 0;  ///< that its answers would have needed one by one
  int64_t forward_passes = 0;
  int64_t peak_rows = 0;         ///< of a forward pass
  int64_t peak_cache_bytes = 0;  ///< of keys and values in use
};

Json session_json(const Session& session);

/// manifest.json: what the run is (identity, extent), what went into it (weights, tokenizer and
/// data by hash, provenance), with which software, on which machine, in which sessions.
/// @param earlier  sessions of an existing manifest
Json make_manifest(const Plan& plan, const Json& earlier, const Session& session);

/// cells.json: id, place and full identity of every cell.
Json cells_json(const Plan& plan);

/// The time of day, for Session.
std::string utc_now();

}  // namespace surprisal
