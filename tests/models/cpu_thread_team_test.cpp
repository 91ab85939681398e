#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "lib/error.h"
#include "models/cpu/thread_team.h"

namespace surprisal {
namespace {

class ThreadTeamTest : public testing::TestWithParam<int> {};

TEST_P(ThreadTeamTest, SharesCoverTheItemsOnce) {
  ThreadTeam team(GetParam());
  for (const int64_t items : {0, 1, 2, 7, 100}) {
    std::vector<int> touched(static_cast<size_t>(items));
    team.run([&](WorkShare share) {
      EXPECT_EQ(share.ranks, GetParam());
      for (int64_t i = share.begin(items); i < share.end(items); ++i) {
        ++touched[static_cast<size_t>(i)];
      }
    });
    EXPECT_EQ(touched, std::vector<int>(static_cast<size_t>(items), 1));
  }
}

// Each stage reads what the neighbour wrote in the stage before: a missing wait shows as a wrong
// number here and as a race under ThreadSanitizer.
TEST_P(ThreadTeamTest, WaitSeparatesStages) {
  const int ranks = GetParam();
  ThreadTeam team(ranks);
  std::vector<int64_t> even(static_cast<size_t>(ranks)), odd(static_cast<size_t>(ranks));
  constexpr int kRuns = 50, kStages = 20;
  for (int run = 0; run < kRuns; ++run) {
    team.run([&](WorkShare share) {
      const auto self = static_cast<size_t>(share.rank);
      const auto neighbour = static_cast<size_t>((share.rank + 1) % share.ranks);
      for (int stage = 0; stage < kStages; ++stage) {
        odd[self] = even[neighbour] + 1;
        team.wait();
        even[self] = odd[neighbour] + 1;
        team.wait();
      }
    });
  }
  EXPECT_EQ(even, std::vector<int64_t>(static_cast<size_t>(ranks), 2 * kRuns * kStages));
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadTeamTest, testing::Values(1, 2, 3, 5));

TEST(ThreadTeam, ConcurrentCallersTakeTurns) {
  ThreadTeam team(2);
  int64_t count = 0;  // unguarded: only the turns protect it
  const auto caller = [&] {
    for (int i = 0; i < 100; ++i) {
      team.run([&](WorkShare share) {
        if (share.rank == 0) ++count;
      });
    }
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(count, 200);
}

TEST(ThreadTeam, WorkersSleepAndWakeBetweenRuns) {
  ThreadTeam team(2);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> ran{0};
    team.run([&](WorkShare) { ++ran; });
    EXPECT_EQ(ran, 2);
  }
}

TEST(ThreadTeam, RefusesAnEmptyTeam) {
  EXPECT_THROW(ThreadTeam(0), Error);
}

}  // namespace
}  // namespace surprisal
