#include "models/cpu/amx_kernels.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "models/cpu/amx_tiles.h"
#include "models/cpu/bfloat16_kernels.h"
#include "models/cpu/prefetch.h"

namespace surprisal::amx {

bool available() {
  static const bool granted = [] {
    constexpr int kRequestPermission = 0x1023,
                  kTileData = 18;  // ARCH_REQ_XCOMP_PERM, of arch_prctl
    constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24;
    unsigned a = 0, b = 0, c = 0, d = 0;  // clang 14's __builtin_cpu_supports() does not know AMX
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kBfloat16) != 0 &&
           (d & kTiles) != 0 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

}  // namespace surprisal::amx

// Highway 1.0 has no target with these instructions.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16")
namespace surprisal::amx {
namespace {

constexpr int64_t kPairBytes = 4 * kPanel;  // two tiles' rows, side by side

// Fetches what is read later, a part of it with each tile that is read now. One after the other
// they would take all of a core's fill buffers, for which the tiles' own lines then wait.
template <bool kTwo>
struct Ahead {
  static constexpr int64_t kParts = kTwo ? 4 : 1;
  const std::byte* from;
  int64_t part_lines;

  Ahead(const std::byte* first, int64_t lines)
      : from(first), part_lines((lines + kParts - 1) / kParts) {}
  HWY_INLINE void fetch() {
    // A single tile of rows takes weights as they come (but for the first 16 of 33), and the
    // first-level cache has room.
    for (int64_t i = 0; i < part_lines; ++i) prefetch_weights<!kTwo>(from + i * kLineBytes);
    from += part_lines * kLineBytes;
  }
};

// One tile's worth of inputs: weights and activations that the tile registers hold.
template <bool kTwo>
HWY_INLINE void load(const std::byte* weights, const float* x, int64_t stride) {
  _tile_loadd(4, x, stride * 4);
  _tile_loadd(7, weights + kTileBytes, kPairBytes);
  _tile_loadd(6, weights, kPairBytes);
  if constexpr (kTwo) _tile_loadd(5, x + kTileRows * stride, stride * 4);
}

// Adds their products to the sums.
template <bool kTwo>
HWY_INLINE void multiply_add(Ahead<kTwo>& ahead) {
  _tile_dpbf16ps(0, 4, 6);
  ahead.fetch();
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTwo) {
    ahead.fetch();
    _tile_dpbf16ps(3, 5, 7);
    ahead.fetch();
    _tile_dpbf16ps(2, 5, 6);
    ahead.fetch();
  }
}

// multiply_add(), and each register loads the next tile's worth as soon as its last product has
// read it: where two threads share a core, loads and products hardly overlap otherwise.
template <bool kTwo>
HWY_INLINE void multiply_add_and_load(const std::byte* weights, const float* x, int64_t stride,
                                      Ahead<kTwo>& ahead) {
  _tile_dpbf16ps(0, 4, 6);
  ahead.fetch();
  if constexpr (kTwo) {
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, x, stride * 4);
    ahead.fetch();
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(7, weights + kTileBytes, kPairBytes);
    ahead.fetch();
    _tile_dpbf16ps(2, 5, 6);
    _tile_loadd(6, weights, kPairBytes);
    _tile_loadd(5, x + kTileRows * stride, stride * 4);
    ahead.fetch();
  } else {
    _tile_loadd(6, weights, kPairBytes);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, x, stride * 4);
    _tile_loadd(7, weights + kTileBytes, kPairBytes);
  }
}

// The sums of one panel for one block of rows, for which the tiles are set up.
// @param x      [rows][pairs], `stride` pairs from row to row
// @param fetch  what to prefetch meanwhile, `fetch_lines` cache lines with each tile of inputs
// @param sums   out: [rows][kPanel]
template <bool kTwo>
void sum_block(const std::byte* weights, const float* x, int64_t stride, int64_t pairs,
               int64_t rows, const std::byte* fetch, int64_t fetch_lines, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  Ahead<kTwo> ahead(fetch, fetch_lines);
  const int64_t whole = pairs / kTilePairs * kTilePairs;
  if (whole > 0) {
    load<kTwo>(weights, x, stride);
    for (int64_t k = kTilePairs; k < whole; k += kTilePairs) {
      weights += kTilePairs * kPairBytes;
      multiply_add_and_load(weights, x + k, stride, ahead);
    }
    weights += kTilePairs * kPairBytes;
    multiply_add(ahead);
  }
  if (const auto left = static_cast<size_t>(pairs - whole); left > 0) {  // the rest, with zeros
    alignas(64) std::array<std::byte, kTilePairs * kPairBytes> last_weights{};
    alignas(64) std::array<float, kMaxRows * kTilePairs> last_x{};
    std::memcpy(last_weights.data(), weights, left * kPairBytes);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(last_x.data() + r * kTilePairs, x + r * stride + whole, left * 4);
    }
    fence();
    load<kTwo>(last_weights.data(), last_x.data(), kTilePairs);
    multiply_add(ahead);
  }
  constexpr int64_t kHalf = kPanel / 2;
  _tile_stored(0, sums, kPairBytes);
  _tile_stored(1, sums + kHalf, kPairBytes);
  if constexpr (kTwo) {
    _tile_stored(2, sums + kTileRows * kPanel, kPairBytes);
    _tile_stored(3, sums + kTileRows * kPanel + kHalf, kPairBytes);
  }
  fence();
}

}  // namespace

void configure(int64_t rows) {
  TileShapes shapes;
  for (const int tile : {0, 1, 4}) shapes.set(tile, std::min(rows, kTileRows), kTileBytes);
  if (rows > kTileRows) {
    for (const int tile : {2, 3, 5}) shapes.set(tile, rows - kTileRows, kTileBytes);
  }
  for (const int tile : {6, 7}) shapes.set(tile, kTilePairs, kTileBytes);
  shapes.load();
}

void release() {
  _tile_release();
}

void run(const PackedShape& shape, const LinearCall& call) {
  alignas(64) float sums[kMaxRows * kPanel];
  const int64_t pairs = (shape.in + 1) / 2;
  const int64_t blocks = (call.rows + kMaxRows - 1) / kMaxRows;
  // That each block asks for with a tile of inputs.
  const int64_t lines = (kTilePairs * kPairBytes / kLineBytes + blocks - 1) / blocks;
  int64_t configured = 0;
  for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
    const auto* const weights =
        static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t row = call.rows * block / blocks;  // sizes differ by at most one
      const int64_t rows = call.rows * (block + 1) / blocks - row;
      if (rows != configured) configure(configured = rows);
      const std::byte* const fetch = ahead_of(weights, shape.panel_bytes(), block, blocks);
      (rows > kTileRows ? sum_block<true> : sum_block<false>)(weights, call.x + row * call.x_stride,
                                                              call.x_stride, pairs, rows, fetch,
                                                              lines, sums);
      bfloat16::store(shape, call, sums, row, rows, panel);
    }
  }
  release();
}

}  // namespace surprisal::amx
HWY_POP_ATTRIBUTES
#endif
