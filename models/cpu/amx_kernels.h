#pragma once

#include <cstdint>

#include "models/cpu/linear_kernels.h"

/// Products in bfloat16 by AMX, whose tiles of 16 rows by 16 outputs take 16 pairs of inputs in one
/// instruction: LinearKernels' run_rounded() on CpuPath::kAmx, over rows that bfloat16::round() has
/// written and the same packed weights. Only to be called where the processor has it and the system
/// lets this process use it.
///
/// The bits of a row's result do not depend on the other rows, as everywhere. They are not those of
/// the dot product instruction: a tile sums its even and odd inputs apart and adds both to the
/// sum of the tiles before it (Intel SDM, TDPBF16PS).
namespace surprisal::amx {

/// Asks the system for the tiles' state, once for the process; false where either lacks them.
bool available();

/// Rows of a block of products.
inline constexpr int64_t kMaxRows = 32;
/// Sets this thread's tiles up for a block of 1 to kMaxRows rows: 0 to 3 take sums (0 and 1 those
/// of the first 16 rows, each half a panel), 4 and 5 rows, 6 and 7 weights.
void configure(int64_t rows);

void run(const PackedShape& shape, const LinearCall& call);

/// While one lives, calls of its thread find the tiles as the last one left them, instead of
/// setting them up anew. Nobody else may use tiles on that thread meanwhile, as LibTorch's products
/// do.
class KeptTiles {
 public:
  /// @param path  on another one than kAmx nothing is done
  explicit KeptTiles(CpuPath path);
  ~KeptTiles();
  KeptTiles(const KeptTiles&) = delete;
  KeptTiles& operator=(const KeptTiles&) = delete;

 private:
  const bool kept_;
};

}  // namespace surprisal::amx
