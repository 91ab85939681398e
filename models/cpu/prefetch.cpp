#include "models/cpu/prefetch.h"

namespace surprisal {

#if HWY_ARCH_X86
const bool fetches_past_l2 = [] {
  __builtin_cpu_init();
  return __builtin_cpu_is("amd") != 0;
}();
#else
const bool fetches_past_l2 = false;
#endif

}  // namespace surprisal
