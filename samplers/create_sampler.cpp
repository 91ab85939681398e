#include "samplers/sampler.h"

namespace surprisal {

std::unique_ptr<Sampler> create_sampler(const SamplerRegistry& registry, const YAML::Node& node,
                                        const std::string& owner, const std::string& file,
                                        const SamplerContext& context, Json* resolved) {
  ParamReader reader(node, owner, file);
  const std::string type =
      reader.string("type", std::nullopt, "name of the sampler (run_experiment --list samplers)");
  const SamplerEntry& entry = registry.get(type, reader.place("type"));
  std::unique_ptr<Sampler> sampler = entry.create(reader, context);
  reader.finish();
  if (resolved != nullptr) *resolved = reader.resolved();
  return sampler;
}

}  // namespace surprisal
