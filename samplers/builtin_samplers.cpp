#include "samplers/greedy.h"
#include "samplers/sampler.h"

namespace surprisal {

SamplerRegistry builtin_samplers() {
  SamplerRegistry registry("sampler");
  registry.add("greedy", Greedy::entry());
  return registry;
}

}  // namespace surprisal
