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
#include "models/cpu/compact_vectors.h"
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
// Rows whose sums of a panel stay near.
constexpr int64_t kRowBlock = 192;
constexpr int64_t kMostBlocks = kRowBlock / kMaxRows;
constexpr int64_t kBlockSums = kMaxRows * kPanel;

// Asks for weights that are read later, a few lines with each product: many at a time would take
// all of a core's fill buffers, for which the tiles' own lines then wait.
class Ahead {
 public:
  Ahead(const std::byte* from, int64_t lines_of_product)
      : from_(from), lines_of_product_(lines_of_product) {}
  HWY_INLINE void fetch() { fetch(lines_of_product_); }
  HWY_INLINE void fetch(int64_t lines) {
    for (int64_t i = 0; i < lines; ++i) prefetch_to_l2(from_ + i * kLineBytes);
    from_ += lines * kLineBytes;
  }

 private:
  const std::byte* from_;
  int64_t lines_of_product_;
};

// What tiles read a panel from, piece by piece.
class Plain {
 public:
  // Cache lines of a tile's worth of inputs that products ask for.
  static constexpr int64_t kLines = kTilePairs * kPairBytes / kLineBytes;

  Plain(const std::byte* panel, int64_t /*in*/) : at_(panel) {}
  const std::byte* at() const { return at_; }
  HWY_INLINE const std::byte* next(int64_t pairs, Ahead& /*ahead*/) {
    const std::byte* const piece = at_;
    at_ += pairs * kPairBytes;
    return piece;
  }

 private:
  const std::byte* at_;
};

// Decodes each piece into the first-level cache. A unit asks for one of its lines.
class Compact {
 public:
  static constexpr int64_t kUnitPairs = compact::kUnitInputs / 2;
  static constexpr int64_t kLines =
      kTilePairs / kUnitPairs * (compact::kUnitBytes / kLineBytes - 1);

  Compact(const std::byte* panel, int64_t in) : units_(panel, in) {}
  const std::byte* at() const { return units_.at(); }
  HWY_INLINE const std::byte* next(int64_t pairs, Ahead& ahead) {
    compact::UnitDecoder decoder(units_, plain_);
    for (int64_t i = 0; i < pairs; i += kUnitPairs) {
      ahead.fetch(1);
      decoder.next();
    }
    units_ = decoder;
    fence();
    return plain_;
  }

 private:
  compact::UnitReader units_;
  alignas(64) std::byte plain_[kMostBlocks * kTilePairs * kPairBytes];
};

// One tile's worth of inputs: weights and activations that the tile registers hold.
template <bool kTwo>
HWY_INLINE void load(const std::byte* weights, const float* x, int64_t stride) {
  _tile_loadd(4, x, stride * 4);
  _tile_loadd(7, weights + kTileBytes, kPairBytes);
  _tile_loadd(6, weights, kPairBytes);
  if constexpr (kTwo) _tile_loadd(5, x + kTileRows * stride, stride * 4);
}

// Adds their products to the sums. With kNext each register loads the next tile's worth as soon as
// its last product has read it: where two threads share a core, loads and products hardly overlap
// otherwise.
// @param weights, x  the next tile's
template <bool kTwo, bool kNext>
HWY_INLINE void multiply_add(const std::byte* weights, const float* x, int64_t stride,
                             Ahead& ahead) {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kNext && !kTwo) _tile_loadd(6, weights, kPairBytes);
  ahead.fetch();
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kNext) _tile_loadd(4, x, stride * 4);
  if constexpr (kTwo) {
    ahead.fetch();
    _tile_dpbf16ps(3, 5, 7);
    if constexpr (kNext) _tile_loadd(7, weights + kTileBytes, kPairBytes);
    ahead.fetch();
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kNext) {
      _tile_loadd(6, weights, kPairBytes);
      _tile_loadd(5, x + kTileRows * stride, stride * 4);
    }
  } else if constexpr (kNext) {
    _tile_loadd(7, weights + kTileBytes, kPairBytes);
  }
  ahead.fetch();
}

// Adds a piece's products to the sums that the tiles hold.
// @param x  [rows][pairs], `stride` pairs from row to row
template <bool kTwo>
HWY_INLINE void add_piece(const std::byte* weights, const float* x, int64_t stride, int64_t pairs,
                          int64_t rows, Ahead& ahead) {
  const int64_t whole = pairs / kTilePairs * kTilePairs;
  if (whole > 0) {
    load<kTwo>(weights, x, stride);
    for (int64_t k = kTilePairs; k < whole; k += kTilePairs) {
      weights += kTilePairs * kPairBytes;
      multiply_add<kTwo, true>(weights, x + k, stride, ahead);
    }
    weights += kTilePairs * kPairBytes;
    multiply_add<kTwo, false>(nullptr, nullptr, 0, ahead);
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
    multiply_add<kTwo, false>(nullptr, nullptr, 0, ahead);
  }
}

template <bool kTwo>
HWY_INLINE void zero_sums() {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
}

constexpr int64_t kHalf = kPanel / 2, kSecond = kTileRows * kPanel;

// @param sums  [rows of a block][kPanel]
template <bool kTwo>
HWY_INLINE void load_sums(const float* sums) {
  _tile_loadd(0, sums, kPairBytes);
  _tile_loadd(1, sums + kHalf, kPairBytes);
  if constexpr (kTwo) {
    _tile_loadd(2, sums + kSecond, kPairBytes);
    _tile_loadd(3, sums + kSecond + kHalf, kPairBytes);
  }
}
template <bool kTwo>
HWY_INLINE void store_sums(float* sums) {
  _tile_stored(0, sums, kPairBytes);
  _tile_stored(1, sums + kHalf, kPairBytes);
  if constexpr (kTwo) {
    _tile_stored(2, sums + kSecond, kPairBytes);
    _tile_stored(3, sums + kSecond + kHalf, kPairBytes);
  }
}

// Rows [first, first + count) in blocks of `size`, of which the last ends where they do and so may
// begin within the one before it.
struct RowBlocks {
  int64_t first, count, blocks, size;

  RowBlocks(int64_t first_row, int64_t rows)
      : first(first_row),
        count(rows),
        blocks((rows + kMaxRows - 1) / kMaxRows),
        size((rows + blocks - 1) / blocks) {}
  int64_t begin(int64_t block) const { return std::min(block * size, count - size); }
};

// @param sums  out: [blocks][kBlockSums], of which [size][kPanel] are used
template <bool kTwo, class Source>
void sum_panel(const PackedShape& shape, const LinearCall& call, const RowBlocks& rows,
               const std::byte* panel, float* sums) {
  constexpr int64_t kProducts = kTwo ? 4 : 2;
  const int64_t pairs = (shape.in + 1) / 2, blocks = rows.blocks;
  // Blocks go over a few inputs in turn, whose weights and their sums stay in the first-level
  // cache: what comes from the second-level one keeps memory waiting. The more blocks, the less
  // that matters, and the more it does how often sums are loaded and stored.
  const int64_t piece = blocks * kTilePairs;
  const int64_t lines = (Source::kLines + kProducts * blocks - 1) / (kProducts * blocks);
  Source source(panel, shape.in);
  for (int64_t k = 0; k < pairs; k += piece) {
    const int64_t count = std::min(piece, pairs - k);
    Ahead ahead(well_ahead_of(source.at()), lines);
    const std::byte* const weights = source.next(count, ahead);
    for (int64_t block = 0; block < blocks; ++block) {
      float* const to = sums + block * kBlockSums;
      if (k == 0) {
        zero_sums<kTwo>();
      } else if (blocks > 1) {
        load_sums<kTwo>(to);
      }
      const float* const x = call.x + (rows.first + rows.begin(block)) * call.x_stride + k;
      add_piece<kTwo>(weights, x, call.x_stride, count, rows.size, ahead);
      if (blocks > 1 || k + piece >= pairs) store_sums<kTwo>(to);
    }
  }
  fence();
}

template <class Source>
void run(const PackedShape& shape, const LinearCall& call, const RowBlocks& rows) {
  alignas(64) float sums[kMostBlocks * kBlockSums];
  configure(rows.size);
  for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
    const auto* const weights =
        static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
    (rows.size > kTileRows ? sum_panel<true, Source> : sum_panel<false, Source>)(shape, call, rows,
                                                                                 weights, sums);
    for (int64_t block = 0; block < rows.blocks; ++block) {
      const int64_t begin = block * rows.size, end = std::min(begin + rows.size, rows.count);
      const float* const from = sums + block * kBlockSums + (begin - rows.begin(block)) * kPanel;
      bfloat16::store(shape, call, from, rows.first + begin, end - begin, panel);
    }
  }
}

// GCC does not apply the attributes above to a destructor.
void release() {
  _tile_release();
}

}  // namespace

void configure(int64_t rows) {
  static constexpr auto kShapes = [] {
    std::array<TileShapes, kMaxRows + 1> all;
    for (int64_t count = 1; count <= kMaxRows; ++count) {
      TileShapes& shapes = all[static_cast<size_t>(count)];
      for (const int tile : {0, 1, 4}) shapes.set(tile, std::min(count, kTileRows), kTileBytes);
      if (count > kTileRows) {
        for (const int tile : {2, 3, 5}) shapes.set(tile, count - kTileRows, kTileBytes);
      }
      for (const int tile : {6, 7}) shapes.set(tile, kTilePairs, kTileBytes);
    }
    return all;
  }();
  use_tiles(kShapes[static_cast<size_t>(rows)]);
}

void run(const PackedShape& shape, const LinearCall& call) {
  for (int64_t row = 0; row < call.rows; row += kRowBlock) {
    const RowBlocks rows(row, std::min(kRowBlock, call.rows - row));
    if (shape.type == WeightType::kCompactBfloat16) {
      run<Compact>(shape, call, rows);
    } else {
      run<Plain>(shape, call, rows);
    }
  }
}

KeptTiles::KeptTiles(CpuPath path) : kept_(path == CpuPath::kAmx) {
  if (kept_) tile_state = {.kept = true};
}

KeptTiles::~KeptTiles() {
  if (!kept_) return;
  tile_state = {};
  release();
}

}  // namespace surprisal::amx
HWY_POP_ATTRIBUTES
#else
namespace surprisal::amx {

KeptTiles::KeptTiles(CpuPath /*path*/) : kept_(false) {}
KeptTiles::~KeptTiles() = default;

}  // namespace surprisal::amx
#endif
