#include "lib/likely_noise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace surprisal {
namespace {

// Against the words and the noise of each token by itself.
TEST(LikelyNoise, HoldsEveryTokenAboveAndTheirWords) {
  for (const uint32_t tokens : {1U, 5U, 64U, 1000U, 49'152U})
    for (const double least : {-3.0, 0.0, 4.0, 9.5}) {
      const Draws draws(0x0123456789abcdef, 7 + tokens, 3, 2);
      std::map<uint32_t, uint32_t> found;
      for (const auto& [token, word] : likely_noise(draws, 5, tokens, least))
        ASSERT_TRUE(found.emplace(token, word).second) << "twice: " << token;
      for (uint32_t token = 0; token < tokens; ++token) {
        const auto entry = found.find(token);
        if (entry == found.end()) {
          ASSERT_LT(draws.gumbel(5, token), least);
          continue;
        }
        ASSERT_EQ(entry->second,
                  philox4x32_10(draws.counter(5, token / 4), draws.key())[token % 4]);
        ASSERT_EQ(gumbel_of_word(entry->second), draws.gumbel(5, token));
        ASSERT_GE(draws.gumbel(5, token), least - 1e-5);  // and hardly any others
      }
      if (!found.empty()) {
        ASSERT_LT(found.rbegin()->first, tokens);
      }
    }
}

TEST(LikelyNoise, KnowsTheEndsOfTheNoise) {
  EXPECT_TRUE(likely_noise(Draws(1, 1), 0, 100'000, 23).empty());  // larger than any word gives
  EXPECT_EQ(likely_noise(Draws(1, 1), 0, 1000, -50).size(), 1000U);
}

}  // namespace
}  // namespace surprisal
