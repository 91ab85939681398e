#include "experiments/config_tree.h"
#include "experiments/strategies/beam_search.h"
#include "experiments/strategies/best_of_n.h"
#include "experiments/strategies/cot_decoding.h"
#include "experiments/strategies/deepconf.h"
#include "experiments/strategies/entropy_gated.h"
#include "experiments/strategies/self_consistency.h"

namespace surprisal {

StrategyRegistry builtin_strategies() {
  StrategyRegistry registry("strategy");
  registry.add("beam_search", BeamSearch::entry());
  registry.add("best_of_n", BestOfN::entry());
  registry.add("cot_decoding", CotDecoding::entry());
  registry.add("deepconf", DeepConf::entry());
  registry.add("entropy_gated", EntropyGated::entry());
  registry.add("self_consistency", SelfConsistency::entry());
  return registry;
}

YAML::Node without_strategy(const YAML::Node& sampler, YAML::Node* strategy) {
  if (!sampler.IsMap() || !sampler["strategy"].IsDefined()) return sampler;
  const YAML::Node own = copy_tree(sampler);
  strategy->reset(sampler["strategy"]);
  YAML::Node rest = own;
  rest.remove("strategy");
  return rest;
}

std::unique_ptr<Strategy> create_strategy(const StrategyRegistry& registry, const YAML::Node& node,
                                          const std::string& owner, const std::string& file,
                                          Json* resolved) {
  ParamReader reader(node, owner, file);
  const std::string type = reader.string("type", std::nullopt, "run_experiment --list strategies");
  std::unique_ptr<Strategy> strategy = registry.get(type, reader.place("type")).create(reader);
  reader.finish();
  if (resolved != nullptr) *resolved = reader.resolved();
  return strategy;
}

Scorer read_vote_scorer(ParamReader& params) {
  return scorer_of(params.choice("scorer", "numeric", {"strict", "flexible", "numeric"},
                                 "by whose reading answers are equal"));
}

}  // namespace surprisal
