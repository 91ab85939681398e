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
#include <utility>

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

// How many rows there are decides what takes longest: reading weights, then decoding them, then the
// products themselves.
enum class Rows { kTile, kBlock, kFewBlocks, kManyBlocks };
constexpr int64_t kMostFewBlocks = 3;

// How a panel is gone over.
template <Rows kRows>
struct Course {
  static constexpr bool kTwo = kRows > Rows::kTile;     // tiles of rows in a block
  static constexpr bool kKept = kRows <= Rows::kBlock;  // the one block's sums stay in tiles
  // Whether rows are read past the first-level cache. Several blocks do not stay there until the
  // next panel anyway, and what is written there, weights and sums, stays instead.
  static constexpr bool kPassing = kRows >= Rows::kFewBlocks;
  // Whether it is the tiles that take longest, and so are kept apart (gap()).
  static constexpr bool kApart = kTwo;

  // Inputs that all blocks of rows go over in turn, so that their weights and the sums stay in the
  // first-level cache: what comes from the second-level one keeps memory waiting. The more blocks,
  // the less that matters, and the more it does how often sums are loaded and stored.
  static constexpr int64_t kPieceTiles = kRows == Rows::kManyBlocks ? 6 : 3;
  static constexpr int64_t kPiecePairs = kPieceTiles * kTilePairs;
  static constexpr int64_t kPieceBytes = kPiecePairs * kPairBytes;  // in plain form

  // Blocks (there are as many at least) and their products beside which a core does what the next
  // piece needs.
  static constexpr int64_t kBlocksBeside = kKept                       ? 1
                                           : kRows == Rows::kFewBlocks ? 2
                                                                       : kMostFewBlocks + 1;
  static constexpr int64_t kProductsBeside = kBlocksBeside * kPieceTiles * (kTwo ? 4 : 2);
};

// Between tile instructions that would follow each other closely.
template <Rows kRows, int kCount>
HWY_INLINE void gap() {
  if constexpr (Course<kRows>::kApart) pass<kCount>();
}

// For what a core does something beside a product.
enum class Beside { kNothing, kNextPiece, kNextPanel };

// What tiles read a panel from, piece by piece. Beside each product a core does a little of what
// later ones need.
template <Rows kRows>
class Plain {
 public:
  static constexpr int64_t kBufferBytes = kLineBytes;  // not used

  Plain(const std::byte* panel, int64_t /*in*/, std::byte* /*buffer*/) : at_(panel) {}
  void begin() {}
  HWY_INLINE const std::byte* next() {
    ahead_ = well_ahead_of(at_);
    return std::exchange(at_, at_ + kPieceBytes);
  }
  const std::byte* rest(int64_t /*pairs*/) const { return at_; }

  // Asks for a few lines: many at a time would take all of a core's fill buffers, for which the
  // tiles' own lines then wait.
  template <Beside kBeside>
  HWY_INLINE void beside() {
    gap<kRows, kAfterProduct>();
    if constexpr (kBeside == Beside::kNothing) return;
    constexpr int64_t kBytes = kPieceBytes / Course<kRows>::kProductsBeside;
    for (int64_t at = 0; at < kBytes; at += kLineBytes) prefetch_to_l2(ahead_ + at);
    ahead_ += kBytes;
  }

 private:
  static constexpr int64_t kPieceBytes = Course<kRows>::kPieceBytes;
  const std::byte* at_;
  const std::byte* ahead_ = nullptr;
};

// Decodes each piece into the first-level cache, where blocks are not many beside the products of
// the one before.
//
// One block waits for memory, and asks for all lines. Few have their rows in the second-level
// cache, and what comes from there waits for the buffers that lines asked for take: they ask for
// the first ones of each page (PageBegins), and leave the others to hardware, which follows what is
// decoded. (So one thread alone would also take 6 % less with one block, but two 8 to 13 % more.)
template <Rows kRows>
class Compact {
 public:
  static constexpr bool kDecodesBeside = kRows != Rows::kManyBlocks;
  static constexpr bool kFollowed = kRows == Rows::kFewBlocks;  // by hardware
  static constexpr int64_t kPieceBytes = Course<kRows>::kPieceBytes;
  static constexpr int64_t kBufferBytes = (kDecodesBeside ? 2 : 1) * kPieceBytes;

  // @param buffer  elsewhere, or compilers would keep all of this in memory
  Compact(const std::byte* panel, int64_t in, std::byte* buffer)
      : units_(panel, in), buffer_(buffer), to_(buffer), begins_(well_ahead_of(panel)) {}
  void begin() {
    if constexpr (kDecodesBeside) decode(kPieceBytes);
  }
  HWY_INLINE const std::byte* next() {
    if constexpr (!kDecodesBeside) decode(kPieceBytes);
    fence();
    const std::byte* const piece = to_ - kPieceBytes;
    if (to_ == buffer_ + kBufferBytes) to_ = buffer_;
    if constexpr (kDecodesBeside) ahead_ = kFollowed ? units_.at() : well_ahead_of(units_.at());
    return piece;
  }
  const std::byte* rest(int64_t pairs) {
    to_ = buffer_;
    decode(pairs * kPairBytes);
    fence();
    return buffer_;
  }

  template <Beside kBeside>
  HWY_INLINE void beside() {
    if constexpr (kBeside == Beside::kNextPiece && kDecodesBeside) {
      for (int64_t i = 0; i < kUnits; ++i) decode_unit();
    } else {
      gap<kRows, kAfterProduct>();
      if constexpr (kBeside != Beside::kNothing) fetch(kLines);
    }
  }

 private:
  static constexpr int64_t kUnitPlainBytes = compact::kUnitInputs / 2 * kPairBytes;
  static constexpr int64_t kUnitLines = compact::kUnitBytes / kLineBytes;
  // Units to decode and lines to ask for beside a product. A piece that is decoded at once asks for
  // one line with each of its units.
  static constexpr int64_t kPieceUnits = kPieceBytes / kUnitPlainBytes;
  static constexpr int64_t kUnits = kPieceUnits / Course<kRows>::kProductsBeside;
  static constexpr int64_t kLines =
      kPieceUnits * (kDecodesBeside ? kUnitLines : kUnitLines - 1) / Course<kRows>::kProductsBeside;

  HWY_INLINE void decode(int64_t bytes) {
    if constexpr (!kDecodesBeside) ahead_ = well_ahead_of(units_.at());
    for (int64_t i = 0; i < bytes; i += kUnitPlainBytes) decode_unit();
  }
  HWY_INLINE void decode_unit() {
    if constexpr (kFollowed) {
      const bool of_two = reinterpret_cast<uintptr_t>(to_) / (2 * kUnitPlainBytes) % 2 == 0;
      if (of_two) begins_.fetch();
    } else if constexpr (kDecodesBeside) {
      const std::byte* const ahead = well_ahead_of(units_.at());
      for (int64_t at = 0; at < compact::kUnitBytes; at += kLineBytes) prefetch_to_l2(ahead + at);
    } else {
      fetch(1);
    }
    compact::UnitDecoder decoder(units_, to_);
    decoder.next();
    units_ = decoder;
    to_ += kUnitPlainBytes;
  }
  HWY_INLINE void fetch(int64_t lines) {
    for (int64_t i = 0; i < lines; ++i) prefetch_to_l2(ahead_ + i * kLineBytes);
    ahead_ += lines * kLineBytes;
  }

  compact::UnitReader units_;
  std::byte* const buffer_;
  std::byte* to_;
  const std::byte* ahead_ = nullptr;
  PageBegins<2 * compact::kUnitBytes> begins_;  // with two units of four
};

// Activations of a block's first 16 rows, and of the others.
template <Rows kRows>
HWY_INLINE void load_first(const float* x, int64_t stride) {
  if constexpr (Course<kRows>::kPassing) {
    _tile_stream_loadd(4, x, stride * 4);
  } else {
    _tile_loadd(4, x, stride * 4);
  }
}
template <Rows kRows>
HWY_INLINE void load_second(const float* x, int64_t stride) {
  if constexpr (Course<kRows>::kPassing) {
    _tile_stream_loadd(5, x + kTileRows * stride, stride * 4);
  } else {
    _tile_loadd(5, x + kTileRows * stride, stride * 4);
  }
}

// One tile's worth of inputs: weights and activations that the tile registers hold.
template <Rows kRows>
HWY_INLINE void load(const std::byte* weights, const float* x, int64_t stride) {
  load_first<kRows>(x, stride);
  gap<kRows, kAfterLoad>();
  _tile_loadd(7, weights + kTileBytes, kPairBytes);
  gap<kRows, kAfterLoad>();
  _tile_loadd(6, weights, kPairBytes);
  gap<kRows, kAfterLoad>();
  if constexpr (Course<kRows>::kTwo) load_second<kRows>(x, stride);
}

// A block's sums, [rows of a block][kPanel] where they are kept; tiles 0 and 1 hold those of its
// first 16 rows, 2 and 3 those of the others.
constexpr int64_t kHalf = kPanel / 2, kSecond = kTileRows * kPanel;
template <int kTile>
constexpr int64_t kSumsOfTile = (kTile & 1) * kHalf + (kTile >> 1) * kSecond;

template <int kTile>
HWY_INLINE void zero_sum() {
  if constexpr (kTile == 0) _tile_zero(0);
  if constexpr (kTile == 1) _tile_zero(1);
  if constexpr (kTile == 2) _tile_zero(2);
  if constexpr (kTile == 3) _tile_zero(3);
}
template <int kTile>
HWY_INLINE void load_sum(const float* sums) {
  const float* const from = sums + kSumsOfTile<kTile>;
  if constexpr (kTile == 0) _tile_loadd(0, from, kPairBytes);
  if constexpr (kTile == 1) _tile_loadd(1, from, kPairBytes);
  if constexpr (kTile == 2) _tile_loadd(2, from, kPairBytes);
  if constexpr (kTile == 3) _tile_loadd(3, from, kPairBytes);
}
template <int kTile>
HWY_INLINE void store_sum(float* sums) {
  float* const to = sums + kSumsOfTile<kTile>;
  if constexpr (kTile == 0) _tile_stored(0, to, kPairBytes);
  if constexpr (kTile == 1) _tile_stored(1, to, kPairBytes);
  if constexpr (kTile == 2) _tile_stored(2, to, kPairBytes);
  if constexpr (kTile == 3) _tile_stored(3, to, kPairBytes);
}

template <Rows kRows>
HWY_INLINE void zero_sums() {
  zero_sum<0>();
  zero_sum<1>();
  if constexpr (Course<kRows>::kTwo) {
    zero_sum<2>();
    zero_sum<3>();
  }
}
template <Rows kRows>
HWY_INLINE void load_sums(const float* sums) {
  load_sum<0>(sums);
  load_sum<1>(sums);
  if constexpr (Course<kRows>::kTwo) {
    load_sum<2>(sums);
    load_sum<3>(sums);
  }
}
template <Rows kRows>
HWY_INLINE void store_sums(float* sums) {
  store_sum<0>(sums);
  store_sum<1>(sums);
  if constexpr (Course<kRows>::kTwo) {
    store_sum<2>(sums);
    store_sum<3>(sums);
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

// Asks for the lines of y that a panel's sums go to, a few rows at a time: lines that another core
// has read, or that are out of the caches, take longer to get than to write; and many that are
// asked for at once keep tiles' lines waiting.
class Outputs {
 public:
  // @param wanted  whether there is anything to ask for
  // @param times   that fetch() is to be called
  Outputs(const LinearCall& call, const RowBlocks& rows, int64_t panel, bool wanted, int64_t times)
      : row_(call.y + rows.first * call.y_stride + (panel - call.first_panel) * kPanel),
        stride_(call.y_stride),
        left_(wanted ? rows.count : 0),
        rows_at_a_time_((rows.count + times - 1) / times) {}
  HWY_INLINE void fetch() {
    for (int64_t i = 0; i < rows_at_a_time_ && left_ > 0; ++i, --left_, row_ += stride_) {
      for (int64_t column = 0; column < kPanel; column += kLineBytes / 4) {
        prefetch_to_write(row_ + column);
      }
    }
  }

 private:
  float* row_;
  int64_t stride_, left_, rows_at_a_time_;
};

// What the tiles have to hold before products are added to their sums.
enum class Begin { kHeld, kZero, kZeroAfterOther, kLoadedAfterOther };

// The sums of a block, and those of another one that the tiles still hold. These make way one tile
// at a time, right before its first product: all at once, stores and loads would keep products
// waiting (a sixth of the time of products of 64 rows).
struct Exchange {
  const float* sums = nullptr;
  float* other = nullptr;

  template <Rows kRows, Begin kBegin, int kTile>
  HWY_INLINE void begin() const {
    constexpr bool kStores = kBegin == Begin::kZeroAfterOther || kBegin == Begin::kLoadedAfterOther;
    if constexpr (kStores) store_sum<kTile>(other);
    if constexpr (kBegin == Begin::kZero || kBegin == Begin::kZeroAfterOther) zero_sum<kTile>();
    if constexpr (kBegin == Begin::kLoadedAfterOther) {
      load_sum<kTile>(sums);
      gap<kRows, kAfterLoad>();
    }
  }
};

// Adds a tile's worth of products to the sums. With kNext each register loads the next tile's worth
// as soon as its last product has read it: where two threads share a core, loads and products
// hardly overlap otherwise.
// @param weights, x  the next tile's
template <Rows kRows, bool kNext, Beside kBeside, Begin kBegin = Begin::kHeld, class Source>
HWY_INLINE void multiply_add(const std::byte* weights, const float* x, int64_t stride,
                             Source& source, Outputs& outputs, Exchange sums = {}) {
  constexpr bool kTwo = Course<kRows>::kTwo;
  sums.template begin<kRows, kBegin, 0>();
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kNext && !kTwo) _tile_loadd(6, weights, kPairBytes);
  source.template beside<kBeside>();
  sums.template begin<kRows, kBegin, 1>();
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kNext) {
    gap<kRows, kAfterProduct>();
    load_first<kRows>(x, stride);
  }
  outputs.fetch();
  if constexpr (kTwo) {
    source.template beside<kBeside>();
    sums.template begin<kRows, kBegin, 3>();
    _tile_dpbf16ps(3, 5, 7);
    if constexpr (kNext) {
      gap<kRows, kAfterProduct>();
      _tile_loadd(7, weights + kTileBytes, kPairBytes);
    }
    source.template beside<kBeside>();
    sums.template begin<kRows, kBegin, 2>();
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kNext) {
      gap<kRows, kAfterProduct>();
      _tile_loadd(6, weights, kPairBytes);
      gap<kRows, kAfterLoad>();
      load_second<kRows>(x, stride);
    }
  } else if constexpr (kNext) {
    _tile_loadd(7, weights + kTileBytes, kPairBytes);
  }
  source.template beside<kBeside>();
}

// Adds the products of three tiles' worth of inputs. No loops over them and few conditions: where a
// core guesses wrong, its fetches from memory wait (5 % of products of 64 rows).
// @param x  [rows][pairs], `stride` pairs from row to row
template <Rows kRows, Beside kBeside, Begin kBegin, class Source>
HWY_INLINE void add_three(const std::byte* weights, const float* x, int64_t stride, Source& source,
                          Outputs& outputs, Exchange sums) {
  constexpr int64_t kBytes = kTilePairs * kPairBytes;
  load<kRows>(weights, x, stride);
  multiply_add<kRows, true, kBeside, kBegin>(weights + kBytes, x + kTilePairs, stride, source,
                                             outputs, sums);
  multiply_add<kRows, true, kBeside>(weights + 2 * kBytes, x + 2 * kTilePairs, stride, source,
                                     outputs);
  multiply_add<kRows, false, kBeside>(nullptr, nullptr, 0, source, outputs);
}

template <Rows kRows, Beside kBeside, Begin kBegin, class Source>
HWY_INLINE void add_piece(const std::byte* weights, const float* x, int64_t stride, Source& source,
                          Outputs& outputs, Exchange sums) {
  constexpr int64_t kThree = 3 * kTilePairs;
  add_three<kRows, kBeside, kBegin>(weights, x, stride, source, outputs, sums);
  for (int64_t k = kThree; k < Course<kRows>::kPiecePairs; k += kThree) {
    add_three<kRows, kBeside, Begin::kHeld>(weights + k * kPairBytes, x + k, stride, source,
                                            outputs, {});
  }
}

// The same with the sums as they are at that point.
// @param first  whether it is the block's first piece
template <Rows kRows, Beside kBeside, class Source>
HWY_INLINE void add_piece_of_block(const std::byte* weights, const float* x, int64_t stride,
                                   Source& source, Outputs& outputs, Exchange sums, bool first) {
  if constexpr (Course<kRows>::kKept) {
    add_piece<kRows, kBeside, Begin::kHeld>(weights, x, stride, source, outputs, sums);
  } else if (!first) {
    add_piece<kRows, kBeside, Begin::kLoadedAfterOther>(weights, x, stride, source, outputs, sums);
  } else if (sums.other != nullptr) {
    add_piece<kRows, kBeside, Begin::kZeroAfterOther>(weights, x, stride, source, outputs, sums);
  } else {
    add_piece<kRows, kBeside, Begin::kZero>(weights, x, stride, source, outputs, sums);
  }
}

// The same of inputs that make no piece; the last of them with zeros.
template <Rows kRows, class Source>
void add_rest(const std::byte* weights, const float* x, int64_t stride, int64_t pairs, int64_t rows,
              Source& source, Outputs& outputs) {
  for (; pairs >= kTilePairs; pairs -= kTilePairs) {
    load<kRows>(weights, x, stride);
    multiply_add<kRows, false, Beside::kNothing>(nullptr, nullptr, 0, source, outputs);
    weights += kTilePairs * kPairBytes;
    x += kTilePairs;
  }
  if (pairs == 0) return;
  const auto left = static_cast<size_t>(pairs);
  alignas(64) std::array<std::byte, kTilePairs * kPairBytes> last_weights{};
  alignas(64) std::array<float, kMaxRows * kTilePairs> last_x{};
  std::memcpy(last_weights.data(), weights, left * kPairBytes);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(last_x.data() + r * kTilePairs, x + r * stride, left * 4);
  }
  fence();
  load<kRows>(last_weights.data(), last_x.data(), kTilePairs);
  multiply_add<kRows, false, Beside::kNothing>(nullptr, nullptr, 0, source, outputs);
}

// @param sums      out: [blocks][size][kPanel]
// @param in_place  whether they are the outputs themselves
template <Rows kRows, template <Rows> class Source>
void sum_panel(const PackedShape& shape, const LinearCall& call, const RowBlocks& rows,
               int64_t panel, float* sums, bool in_place) {
  constexpr bool kKept = Course<kRows>::kKept;
  constexpr int64_t kPiece = Course<kRows>::kPiecePairs;
  const int64_t pairs = (shape.in + 1) / 2, pieces = pairs / kPiece, stride = call.x_stride;
  const auto x_of = [&](int64_t block) {
    return call.x + (rows.first + rows.begin(block)) * stride;
  };
  const auto sums_of = [&](int64_t block) { return sums + block * rows.size * kPanel; };
  alignas(64) std::byte buffer[Source<kRows>::kBufferBytes];
  const auto* const begin =
      static_cast<const std::byte*>(call.weights) + panel * shape.panel_step();
  Source<kRows> source(begin, shape.in, buffer);
  constexpr int64_t kTimes = Course<kRows>::kPieceTiles;  // that a piece of a block asks
  Outputs outputs(call, rows, panel, !in_place,
                  std::max<int64_t>(1, pieces * rows.blocks * kTimes));
  float* held = nullptr;  // whose sums the tiles hold
  if constexpr (kKept) zero_sums<kRows>();
  if (pieces > 0) source.begin();
  for (int64_t n = 0; n < pieces; ++n) {
    const std::byte* const weights = source.next();
    for (int64_t block = 0; block < rows.blocks; ++block) {
      const float* const x = x_of(block) + n * kPiece;
      const Exchange exchange{.sums = sums_of(block), .other = held};
      held = sums_of(block);
      if (block >= Course<kRows>::kBlocksBeside) {
        add_piece_of_block<kRows, Beside::kNothing>(weights, x, stride, source, outputs, exchange,
                                                    n == 0);
      } else if (n + 1 < pieces) {
        add_piece_of_block<kRows, Beside::kNextPiece>(weights, x, stride, source, outputs, exchange,
                                                      n == 0);
      } else {
        add_piece_of_block<kRows, Beside::kNextPanel>(weights, x, stride, source, outputs, exchange,
                                                      n == 0);
      }
    }
  }
  if (!kKept && held != nullptr) store_sums<kRows>(held);
  if (const int64_t done = pieces * kPiece; done < pairs) {
    const std::byte* const weights = source.rest(pairs - done);
    for (int64_t block = 0; block < rows.blocks; ++block) {
      float* const to = sums_of(block);
      if constexpr (!kKept) pieces == 0 ? zero_sums<kRows>() : load_sums<kRows>(to);
      add_rest<kRows>(weights, x_of(block) + done, stride, pairs - done, rows.size, source,
                      outputs);
      if constexpr (!kKept) store_sums<kRows>(to);
    }
  }
  if constexpr (kKept) store_sums<kRows>(sums);
  fence();
}

template <template <Rows> class Source>
auto sum_panel_for(const RowBlocks& rows) {
  if (rows.size <= kTileRows) return sum_panel<Rows::kTile, Source>;
  if (rows.blocks == 1) return sum_panel<Rows::kBlock, Source>;
  if (rows.blocks <= kMostFewBlocks) return sum_panel<Rows::kFewBlocks, Source>;
  return sum_panel<Rows::kManyBlocks, Source>;
}

// Whether a panel's sums may be the outputs themselves, which then need no copy: y has room for
// just this panel, no row is summed in two blocks, and nothing is done to a sum after it is made.
bool summed_in_place(const PackedShape& shape, const LinearCall& call, const RowBlocks& rows) {
  const bool one_panel = call.y_stride == kPanel && call.last_panel == call.first_panel + 1 &&
                         call.last_panel * kPanel <= shape.out;
  return one_panel && rows.count == rows.blocks * rows.size && call.bias == nullptr &&
         !call.accumulate && call.bad == nullptr;
}

template <template <Rows> class Source>
void run(const PackedShape& shape, const LinearCall& call, const RowBlocks& rows) {
  const auto sum = sum_panel_for<Source>(rows);
  configure(rows.size);
  if (summed_in_place(shape, call, rows)) {
    return sum(shape, call, rows, call.first_panel, call.y + rows.first * kPanel, true);
  }
  alignas(64) float sums[kRowBlock * kPanel];
  for (int64_t panel = call.first_panel; panel < call.last_panel; ++panel) {
    sum(shape, call, rows, panel, sums, false);
    for (int64_t block = 0; block < rows.blocks; ++block) {
      const int64_t begin = block * rows.size, end = std::min(begin + rows.size, rows.count);
      const int64_t skipped = begin - rows.begin(block);  // rows of the block before
      const float* const from = sums + (begin + skipped) * kPanel;
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
