#include "models/cpu/cpu_path.h"

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "lib/error.h"
#include "models/cpu/amx_kernels.h"

namespace surprisal {
namespace {

constexpr std::array kPaths = {CpuPath::kPortable, CpuPath::kAvx2, CpuPath::kAvx512,
                               CpuPath::kAvx512Bf16, CpuPath::kAmx};

bool available(CpuPath path) {
  const int64_t targets = hwy::SupportedTargets();
  switch (path) {
    case CpuPath::kPortable:
      return true;
    case CpuPath::kAvx2:
      return (targets & HWY_AVX2) != 0;
    case CpuPath::kAvx512:
      return (targets & HWY_AVX3) != 0;
    case CpuPath::kAvx512Bf16:
#if HWY_ARCH_X86
      return (targets & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512bf16");
#else
      return false;
#endif
    case CpuPath::kAmx:
#if HWY_ARCH_X86
      return available(CpuPath::kAvx512Bf16) && amx::available();
#else
      return false;
#endif
  }
  return false;
}

}  // namespace

std::string_view cpu_path_name(CpuPath path) {
  switch (path) {
    case CpuPath::kPortable:
      return "portable";
    case CpuPath::kAvx2:
      return "avx2";
    case CpuPath::kAvx512:
      return "avx512";
    case CpuPath::kAvx512Bf16:
      return "avx512_bf16";
    case CpuPath::kAmx:
      return "amx";
  }
  return "";
}

std::vector<CpuPath> available_cpu_paths() {
  std::vector<CpuPath> paths;
  std::copy_if(kPaths.begin(), kPaths.end(), std::back_inserter(paths), available);
  return paths;
}

CpuPath choose_cpu_path(std::string_view forced) {
  if (forced.empty()) return available_cpu_paths().back();
  std::vector<std::string> names;
  for (const CpuPath path : kPaths) {
    names.emplace_back(cpu_path_name(path));
    if (forced != names.back()) continue;
    if (available(path)) return path;
    throw Error(ErrorCode::kUnsupported, "SURPRISAL_CPU=" + std::string(forced) +
                                             ": this processor cannot run that path; unset it to "
                                             "use " +
                                             std::string(cpu_path_name(choose_cpu_path(""))));
  }
  throw unknown_name_error("CPU path", forced, names, "SURPRISAL_CPU");
}

CpuPath cpu_path() {
  static const CpuPath path = [] {
    const char* forced = std::getenv("SURPRISAL_CPU");
    return choose_cpu_path(forced == nullptr ? "" : forced);
  }();
  return path;
}

}  // namespace surprisal
