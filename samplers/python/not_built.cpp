#include "lib/error.h"
#include "samplers/python/python_sampler.h"

namespace surprisal {

SamplerEntry python_sampler_entry() {
  return {"a class in a Python file; this build is without Python",
          [](ParamReader& params, const SamplerContext&) -> std::unique_ptr<Sampler> {
            throw Error(ErrorCode::kConfig,
                        params.place("type") +
                            ": python: this build is without Python; install python3-dev, remove "
                            "build/release/CMakeCache.txt and run tools/quickstart.sh again");
          }};
}

}  // namespace surprisal
