#include "experiments/cost_ledger.h"

#include "experiments/cost.h"

namespace surprisal {

bool CostLedger::visit(const TokenNode& node) {
  if (!visited_.insert(&node).second) return false;
  cost_.token_evaluations += node.end - node.begin;
  cost_.flops += forward_flops(*config_, node.begin, node.end, 1);
  return true;
}

void CostLedger::add(const CostLedger& other) {
  for (const TokenNode* node : other.visited_) visit(*node);
}

}  // namespace surprisal
