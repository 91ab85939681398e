#pragma once

namespace surprisal::bench {

/// What this machine can do at best, measured with all `threads` at once.
struct Roof {
  double read_bytes_per_second;  ///< from memory, sequentially, in huge pages
  double flops_per_second;       ///< float32 multiply-add on the CPU path in use, 2 per lane
  /// Of products in bfloat16: AMX's tiles or AVX-512's dot products where the CPU path has them,
  /// else as above.
  double bfloat16_flops_per_second;
};

/// Takes about a second. The best of several short runs, so that other programs' bursts do not
/// lower the roof.
Roof measure_roof(int threads);

}  // namespace surprisal::bench
