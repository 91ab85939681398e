#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "experiments/engine.h"
#include "experiments/token_tree.h"

namespace surprisal {

/// Told of every token an answer takes: the request's id, the token, the record of why.
using TokenCallback = std::function<void(int64_t, TokenId, const TokenRecord&)>;

/// One request as the engine sees it: something that goes on wherever its tree knows what the model
/// says, and names the nodes it waits for elsewhere. An Answer is one; so is a strategy that makes
/// several answers of one request.
class Job {
 public:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;

  /// Goes on until it is finished or stands only where the model has to be asked.
  /// @throws Error(kUnsupported, kConfig) on a decision that cannot be carried out
  virtual void advance() = 0;
  virtual bool finished() const = 0;
  /// The nodes it waits at; none of them is known well enough. Not empty until it is finished.
  virtual std::vector<TokenNode*> waiting_at() = 0;
  virtual TokenTree& tree() = 0;
  /// What it reads at the nodes it waits at, the trace's wishes included.
  virtual Needs needs() const = 0;
  /// The finished answer; call once.
  virtual GenerationResult take_result() = 0;
};

}  // namespace surprisal
