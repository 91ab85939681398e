#include "models/cpu/amx_attention.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "models/cpu/amx_tiles.h"

// Highway 1.0 has no target with these instructions.
HWY_PUSH_ATTRIBUTES("avx512f,avx512bw,avx512dq,avx512vl,amx-tile,amx-bf16")
namespace surprisal::amx {
namespace {

constexpr int64_t kBlockPairs = kBlockKeys / 2;
constexpr int64_t kTileColumns = 16;
// Lines to ask for with each tile, so that a call asks for them evenly: many at once wait for each
// other and keep waiting what comes from the second-level cache (6 % of attention from memory).
// They keep the tiles' products apart from what follows, as well (pass()).
constexpr int kLinesWithKeys = 12, kLinesWithValues = 8;

const std::byte* bytes(const void* numbers) {
  return static_cast<const std::byte*>(numbers);
}

// Tiles 0 to 3 take sums, 4 queries, 5 keys, 6 weights and 7 values; by number of rows.
constexpr auto kShapes = [] {
  std::array<TileShapes, kAttentionRows + 1> all;
  for (int64_t rows = 1; rows <= kAttentionRows; ++rows) {
    TileShapes& shapes = all[static_cast<size_t>(rows)];
    for (const int tile : {0, 1, 2, 3, 4}) shapes.set(tile, rows, kTileBytes);
    shapes.set(5, kTilePairs, kTileBytes);
    shapes.set(6, rows, 4 * kBlockPairs);
    shapes.set(7, kBlockPairs, kTileBytes);
  }
  return all;
}();

void configure_for(int64_t rows) {
  use_tiles(kShapes[static_cast<size_t>(rows)]);
}

// Rows [row, row + rows), which all see keys [begin, end) of the chunk; begin is a block's.
struct Part {
  int64_t row, rows, begin, end;
};

// A block's values in V times 16 columns, of which rows see the first `keys`; zeros for the others,
// as a weight of 0 would not keep out NaN.
template <int V>
void copy_seen(const std::byte* values, int64_t stride, int64_t keys,
               std::array<uint32_t, kBlockPairs * V * kTileColumns>& to) {
  to.fill(0);
  for (int64_t pair = 0; 2 * pair < keys; ++pair) {
    uint32_t* const line = to.data() + pair * V * kTileColumns;
    std::memcpy(line, values + pair * stride, V * kTileBytes);
    if (2 * pair + 1 < keys) continue;
    for (int64_t i = 0; i < V * kTileColumns; ++i) line[i] &= 0xffff;
  }
  fence();
}

// sums += weights * values, for one block.
template <int V>
HWY_INLINE void add_block(const float* weights, const std::byte* values, int64_t stride,
                          Fetcher& fetcher) {
  _tile_loadd(6, weights, kChunkKeys * 4);
  fetcher.fetch(kLinesWithValues);
  _tile_loadd(7, values, stride);
  pass<kAfterLoad>();
  _tile_dpbf16ps(0, 6, 7);
  fetcher.fetch(kLinesWithValues);
  _tile_loadd(7, values + kTileBytes, stride);
  pass<kAfterLoad>();
  _tile_dpbf16ps(1, 6, 7);
  if constexpr (V == 4) {
    fetcher.fetch(kLinesWithValues);
    _tile_loadd(7, values + 2 * kTileBytes, stride);
    pass<kAfterLoad>();
    _tile_dpbf16ps(2, 6, 7);
    fetcher.fetch(kLinesWithValues);
    _tile_loadd(7, values + 3 * kTileBytes, stride);
    pass<kAfterLoad>();
    _tile_dpbf16ps(3, 6, 7);
  }
}

// Goes on with sums (or, from key 0 on, begins them): V times 16 columns from `column` on.
template <int V>
void weigh_columns(const ChunkCall& call, const Part& part, int64_t column, Fetcher& fetcher) {
  const int64_t stride = 4 * call.dim;
  float* const sums = call.sums + part.row * call.dim + column;
  if (part.begin == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, stride);
    _tile_loadd(1, sums + kTileColumns, stride);
    if constexpr (V == 4) {
      _tile_loadd(2, sums + 2 * kTileColumns, stride);
      _tile_loadd(3, sums + 3 * kTileColumns, stride);
    }
  }
  const float* const weights = call.weights + part.row * kChunkKeys;
  int64_t block = part.begin / kBlockKeys;
  for (; (block + 1) * kBlockKeys <= part.end; ++block) {
    add_block<V>(weights + block * kBlockPairs, bytes(call.values[block]) + 4 * column, stride,
                 fetcher);
  }
  if (const int64_t left = part.end - block * kBlockKeys; left > 0) {
    alignas(64) std::array<uint32_t, kBlockPairs * V * kTileColumns> seen;
    copy_seen<V>(bytes(call.values[block]) + 4 * column, stride, left, seen);
    add_block<V>(weights + block * kBlockPairs, bytes(seen.data()), V * kTileBytes, fetcher);
  }
  _tile_stored(0, sums, stride);
  _tile_stored(1, sums + kTileColumns, stride);
  if constexpr (V == 4) {
    _tile_stored(2, sums + 2 * kTileColumns, stride);
    _tile_stored(3, sums + 3 * kTileColumns, stride);
  }
  fence();
}

void weigh_part(const ChunkCall& call, const Part& part, Fetcher& fetcher) {
  configure_for(part.rows);
  int64_t column = 0;
  for (; column + 4 * kTileColumns <= call.dim; column += 4 * kTileColumns) {
    weigh_columns<4>(call, part, column, fetcher);
  }
  if (column < call.dim) weigh_columns<2>(call, part, column, fetcher);
}

}  // namespace

void score(const ChunkCall& call, Fetcher& fetcher) {
  fence();
  configure_for(call.rows);
  constexpr int64_t kTileOfKeys = kTilePairs * kTileBytes;
  for (int64_t first = 0; first * kBlockKeys < call.used; first += 4) {
    const std::byte* keys[4];
    for (int64_t b = 0; b < 4; ++b) keys[b] = bytes(call.keys[first + b]);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t pair = 0; pair < call.dim / 2; pair += kTilePairs) {
      const int64_t at = pair / kTilePairs * kTileOfKeys;
      _tile_loadd(4, call.q + pair, call.dim * 4);
      fetcher.fetch(kLinesWithKeys);
      _tile_loadd(5, keys[0] + at, kTileBytes);
      pass<kAfterLoad>();
      _tile_dpbf16ps(0, 4, 5);
      fetcher.fetch(kLinesWithKeys);
      _tile_loadd(5, keys[1] + at, kTileBytes);
      pass<kAfterLoad>();
      _tile_dpbf16ps(1, 4, 5);
      fetcher.fetch(kLinesWithKeys);
      _tile_loadd(5, keys[2] + at, kTileBytes);
      pass<kAfterLoad>();
      _tile_dpbf16ps(2, 4, 5);
      fetcher.fetch(kLinesWithKeys);
      _tile_loadd(5, keys[3] + at, kTileBytes);
      pass<kAfterLoad>();
      _tile_dpbf16ps(3, 4, 5);
    }
    float* const scores = call.scores + first * kBlockKeys;
    _tile_stored(0, scores, kChunkKeys * 4);
    _tile_stored(1, scores + kBlockKeys, kChunkKeys * 4);
    _tile_stored(2, scores + 2 * kBlockKeys, kChunkKeys * 4);
    _tile_stored(3, scores + 3 * kBlockKeys, kChunkKeys * 4);
  }
  fence();
}

void weigh(const ChunkCall& call, Fetcher& fetcher) {
  fence();
  const int64_t common = common_keys(call, kBlockKeys);
  weigh_part(call, {0, call.rows, 0, common}, fetcher);
  for (int64_t row = 0, next = 0; row < call.rows; row = next) {  // rows of one end together
    while (next < call.rows && call.end[next] == call.end[row]) ++next;
    if (call.end[row] > common) weigh_part(call, {row, next - row, common, call.end[row]}, fetcher);
  }
}

}  // namespace surprisal::amx
HWY_POP_ATTRIBUTES
#endif
