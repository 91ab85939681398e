#pragma once

#include <unordered_set>

#include "experiments/sample.h"
#include "experiments/token_tree.h"
#include "models/config.h"

namespace surprisal {

/// What an answer would cost alone (design, contract 6): every context it used counts once, however
/// many of its walks came by and whatever other answers shared.
class CostLedger {
 public:
  explicit CostLedger(const ModelConfig& config) : config_(&config) {}

  /// Accounts for the use of what the model said at `node`. @return whether it was the first
  bool visit(const TokenNode& node);
  /// Accounts for everything another ledger of the same tree has; not for its sequential steps.
  void add(const CostLedger& other);
  /// So many forward passes, one after the other.
  void step(int64_t count = 1) { cost_.forward_passes += count; }

  const Cost& cost() const { return cost_; }

 private:
  const ModelConfig* config_;
  std::unordered_set<const TokenNode*> visited_;
  Cost cost_;
};

}  // namespace surprisal
