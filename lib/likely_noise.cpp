#include "lib/likely_noise.h"

#include <algorithm>
#include <array>
#include <cmath>

// Highway includes this file anew for each instruction set; the best the processor has is called.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/likely_noise.cpp"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace surprisal::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
using Tag = hn::ScalableTag<uint32_t>;
using WideTag = hn::RepartitionToWide<Tag>;
using Wide = hn::Vec<WideTag>;

/// Counters of several blocks, one in the lower half of each lane; the upper half is whatever the
/// products left there and is never read.
struct Blocks {
  Wide c0, c1, c2, c3;
};

/// One round with the keys k0 and k1.
HWY_INLINE Blocks next_round(const Blocks& x, Wide k0, Wide k1) {
  const Tag d;
  const Wide product0 = hn::MulEven(hn::BitCast(d, x.c0), hn::Set(d, kPhiloxMultipliers[0]));
  const Wide product1 = hn::MulEven(hn::BitCast(d, x.c2), hn::Set(d, kPhiloxMultipliers[1]));
  return {hn::Xor(hn::ShiftRight<32>(product1), hn::Xor(x.c1, k0)), product1,
          hn::Xor(hn::ShiftRight<32>(product0), hn::Xor(x.c3, k1)), product0};
}
#endif

/// Tokens 4 * block + j of blocks [first, first + count) whose word j is below `limit` are written,
/// with it. Both outputs need room for all and one vector more. @return how many
size_t words_below(const PhiloxCounter& c, const PhiloxKey& key, uint32_t first, uint32_t count,
                   uint32_t limit, uint32_t* tokens, uint32_t* words) {
  size_t found = 0;
#if HWY_TARGET == HWY_SCALAR
  for (uint32_t block = first; block < first + count; ++block) {
    const PhiloxCounter all = philox4x32_10({c[0], c[1], c[2], block}, key);
    for (uint32_t j = 0; j < 4; ++j)
      if (all[j] < limit) {
        tokens[found] = 4 * block + j;
        words[found++] = all[j];
      }
  }
#else
  const Tag d;
  const WideTag wide;
  const auto lanes = static_cast<uint32_t>(hn::Lanes(wide));
  const auto threshold = hn::Set(d, limit), end = hn::Set(d, first + count);
  const auto join = [&](Wide even, Wide odd) {
    return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  };
  Blocks start{hn::Set(wide, c[0]), hn::Set(wide, c[1]), hn::Set(wide, c[2]), hn::Zero(wide)};
  for (uint32_t i = 0; i < count; i += 2 * lanes) {
    Blocks a = start, b = start;  // side by side, so that neither waits for its products
    a.c3 = hn::Iota(wide, first + i);
    b.c3 = hn::Iota(wide, first + i + lanes);
    const auto block = join(a.c3, b.c3);
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < kPhiloxRounds; ++round) {
      const Wide key0 = hn::Set(wide, k0), key1 = hn::Set(wide, k1);
      a = next_round(a, key0, key1);
      b = next_round(b, key0, key1);
      k0 += kPhiloxWeyl[0];
      k1 += kPhiloxWeyl[1];
    }
    const auto inside = hn::Lt(block, end);
    auto token = hn::ShiftLeft<2>(block);
    for (const auto& word :
         {join(a.c0, b.c0), join(a.c1, b.c1), join(a.c2, b.c2), join(a.c3, b.c3)}) {
      const auto small = hn::And(hn::Lt(word, threshold), inside);
      hn::StoreU(hn::Compress(token, small), d, tokens + found);
      hn::StoreU(hn::Compress(word, small), d, words + found);
      found += hn::CountTrue(d, small);
      token = hn::Add(token, hn::Set(d, 1));
    }
  }
#endif
  return found;
}

}  // namespace surprisal::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace surprisal {

HWY_EXPORT(words_below);

namespace {

constexpr size_t kPadding =
    256 / sizeof(uint32_t);              // the longest vectors of any target: 2,048 bits
constexpr uint32_t kChunk = 512;         // blocks at a time
constexpr double kRoundingSlack = 1e-6;  // far above the rounding of noise and of its inverse

/// Words from this on give noise below `least`: -log(-log1p(-u)) >= x where u <= 1 - exp(-exp(-x)).
uint32_t word_limit(double least) {
  const double u = -std::expm1(-std::exp(-(least - kRoundingSlack)));
  return static_cast<uint32_t>(std::min(std::ceil(u * 0x1p32) + 1, double{0xFFFFFFFF}));
}

}  // namespace

std::vector<TokenWord> likely_noise(const Draws& draws, uint32_t draw, uint32_t tokens,
                                    double least) {
  std::vector<TokenWord> found;
  std::array<uint32_t, 4 * kChunk + kPadding> some_tokens, some_words;
  const uint32_t limit = word_limit(least), blocks = (tokens + 3) / 4;
  for (uint32_t first = 0; first < blocks; first += kChunk) {
    const size_t count = HWY_DYNAMIC_DISPATCH(words_below)(
        draws.counter(draw, 0), draws.key(), first, std::min(kChunk, blocks - first), limit,
        some_tokens.data(), some_words.data());
    for (size_t i = 0; i < count; ++i)
      if (some_tokens[i] < tokens) found.push_back({some_tokens[i], some_words[i]});
  }
  return found;
}

}  // namespace surprisal
#endif  // HWY_ONCE
