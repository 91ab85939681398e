#pragma once

#include <cstdint>

#include "lib/json.h"
#include "models/model.h"

namespace surprisal::bench {

/// Prompts of one length, prefilled one after the other, then decoded together, greedily.
struct DecodingJob {
  int64_t batch = 1;
  int64_t prompt = 128;  ///< tokens
  int64_t decode = 64;   ///< steps
  bool statistics = true;
  bool alternate = false;  ///< with statistics at every other step only
};

/// What one decoding step has to do at least, as a mean over a job's steps.
struct StepWork {
  double product_flops;    ///< of weights, a multiply-add counts two
  double attention_flops;  ///< of queries with keys, and of weights with values
  double bytes;            ///< weights (in their dtype, not compact) and cache, each read once
};

struct DecodingResult {
  double prefill_seconds, decode_seconds;  ///< in all
  double step_seconds;                     ///< median; of an alternating job, with statistics
  /// What a tenth of these steps are faster than: it tells builds apart where other guests of a
  /// machine slow a core down for seconds at a time.
  double fast_step_seconds;
  double plain_step_seconds;          ///< median; of an alternating job, without; else 0
  std::vector<TokenId> first_tokens;  ///< of the first sequence, to see that engines agree
  StepWork work;
  int64_t weight_bytes, cache_bytes;  ///< Model::weight_bytes(); what the cache holds
};

/// Loading and the first touch of the cache's memory are outside the times.
DecodingResult decode(const Model& model, const DecodingJob& job);

/// Reads a job: {"batch", "prompt", "decode", "statistics", "alternate"}, all optional.
/// @throws Error(kUsage)
DecodingJob decoding_job(const Json& json);
Json to_json(const DecodingResult& result);

}  // namespace surprisal::bench
