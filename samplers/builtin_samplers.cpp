#include "samplers/chain.h"
#include "samplers/entropix/entropix.h"
#include "samplers/greedy.h"
#include "samplers/python/python_sampler.h"
#include "samplers/quadrant/quadrant.h"
#include "samplers/sampler.h"

namespace surprisal {

SamplerRegistry builtin_samplers() {
  SamplerRegistry registry("sampler");
  registry.add("chain", Chain::entry());
  registry.add("entropix", entropix_entry());
  registry.add("greedy", Greedy::entry());
  registry.add("python", python_sampler_entry());
  registry.add("quadrant", Quadrant::entry());
  return registry;
}

}  // namespace surprisal
