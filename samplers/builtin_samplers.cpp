#include "samplers/sampler.h"

namespace surprisal {

SamplerRegistry builtin_samplers() {
  return SamplerRegistry("sampler");
}

}  // namespace surprisal
