#include "lib/draws.h"

#include <gtest/gtest.h>

#include <cmath>

namespace surprisal {
namespace {

// Known answers published with Random123 (kat_vectors, philox4x32 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(
      philox4x32_10({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
      (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Draws, UniformNeverReachesItsEnds) {
  EXPECT_GT(open_unit_interval(0), 0);
  EXPECT_LT(open_unit_interval(0xffffffff), 1);
  const double largest = -std::log(-std::log1p(-open_unit_interval(0)));
  EXPECT_GT(largest, 22);
  EXPECT_TRUE(std::isfinite(largest));
}

TEST(Draws, PackingIsTheContracts) {
  const uint64_t key = 0x0123456789abcdef;
  const Draws draws(key, 7, 3, 2);
  const PhiloxCounter words =
      philox4x32_10({7, 3, 2u << 16 | 5u, 10 / 4}, {0x89abcdef, 0x01234567});
  EXPECT_EQ(draws.uniform(5, 10), open_unit_interval(words[10 % 4]));
}

TEST(GumbelNoise, EqualsDrawsAndStaysBelowItsBound) {
  const Draws draws(99, 1, 2, 3);
  GumbelNoise noise(draws, 4);
  for (uint32_t i = 0; i < 10'000; ++i) {
    const uint32_t token = i < 5000 ? i : i * 2654435761U % 200'000;
    EXPECT_EQ(noise.value(token), draws.gumbel(4, token));
    EXPECT_LE(noise.value(token), noise.bound(token));
  }
}

TEST(Draws, KeyDependsOnEveryPart) {
  const uint64_t key = draws_key(0, "q", 0);
  EXPECT_NE(key, draws_key(1, "q", 0));
  EXPECT_NE(key, draws_key(0, "r", 0));
  EXPECT_NE(key, draws_key(0, "q", 1));
}

}  // namespace
}  // namespace surprisal
