#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace surprisal {

/// Which compilation of the CPU kernels runs, slowest first. In float32 all of them add in the same
/// order; those with fused multiply-add (all but kPortable) give the same bits.
enum class CpuPath {
  kPortable,    ///< whatever the compiler's baseline offers; for machines without the others
  kAvx2,        ///< AVX2, FMA and F16C
  kAvx512,      ///< AVX-512 F, BW, CD, DQ, VL
  kAvx512Bf16,  ///< and dot products of bfloat16, which only products in bfloat16 use
  kAmx,         ///< and AMX's tiles of bfloat16, which take those dot products' place
};

/// "portable", "avx2", "avx512", "avx512_bf16", "amx".
std::string_view cpu_path_name(CpuPath path);

/// The paths this machine can run, slowest first.
std::vector<CpuPath> available_cpu_paths();

/// The fastest available path, or the one named by `forced` unless that is empty.
/// @throws Error(kUnknownName) on a name that is none, Error(kUnsupported) on one that this machine
///         or build cannot run
CpuPath choose_cpu_path(std::string_view forced);

/// choose_cpu_path() of the environment variable SURPRISAL_CPU; decided once, at the first call.
CpuPath cpu_path();

}  // namespace surprisal
