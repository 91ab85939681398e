#pragma once

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <atomic>
#include <cstdint>

// What the files that use AMX's tiles have in common.
HWY_PUSH_ATTRIBUTES("amx-tile")
namespace surprisal::amx {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileBytes = 64;  ///< of a row
inline constexpr int64_t kTilePairs = 16;  ///< of bfloat16, of a product's inputs

/// Keeps the compiler from moving plain loads and stores across the tiles' own, which the
/// intrinsics of some compilers do not say they make.
HWY_INLINE void fence() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

/// So many instructions that do nothing. Where two threads share a core, which machines of several
/// guests hide, a tile instruction that follows another one too closely takes longer, and both
/// threads' others with it: products and loads that take turns 27 ns instead of 18 a pair, where a
/// thread that has the core to itself takes 7 either way. Found by measuring.
template <int kCount>
HWY_INLINE void pass() {
  asm volatile(".rept %c0\n\tnop\n\t.endr" : : "i"(kCount));
}
inline constexpr int kAfterProduct = 7, kAfterLoad = 3;  ///< that are enough

/// Sizes of a thread's tiles, as LDTILECFG reads them. Tiles that are not set are not used.
struct alignas(64) TileShapes {
  uint8_t palette = 1, first_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void set(int tile, int64_t tile_rows, int64_t tile_row_bytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(tile_row_bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

/// What a KeptTiles has made of this thread's tiles.
struct TileState {
  bool kept = false;
  const TileShapes* shapes = nullptr;  ///< that they have; null: not known
};
inline thread_local TileState tile_state;

/// Gives this thread's tiles these sizes, which takes as long as a few products, unless a KeptTiles
/// says that they have them. What the tiles then hold is not defined.
/// @param shapes  must outlive the KeptTiles
HWY_INLINE void use_tiles(const TileShapes& shapes) {
  if (tile_state.shapes == &shapes) return;
  if (tile_state.kept) tile_state.shapes = &shapes;
  fence();
  _tile_loadconfig(&shapes);
}

}  // namespace surprisal::amx
HWY_POP_ATTRIBUTES
#endif
