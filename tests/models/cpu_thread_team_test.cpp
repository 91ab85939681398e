#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
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

// Every piece once, whatever the ranks' pace, and a stage ends only when all of its pieces have.
TEST_P(ThreadTeamTest, StagesDealEveryPieceOnce) {
  ThreadTeam team(GetParam());
  for (const int64_t pieces : {0, 1, 2, 7, 100, 777}) {
    std::vector<int> first(static_cast<size_t>(pieces)), second(static_cast<size_t>(pieces));
    team.run([&](WorkShare share) {
      for (int round = 0; round < 20; ++round) {
        team.stage(share, pieces, [&](int64_t i) {
          if (share.rank == 0 && round % 7 == 0) std::this_thread::yield();
          ++first[static_cast<size_t>(i)];
        });
        team.stage(share, pieces, [&](int64_t i) {
          second[static_cast<size_t>(i)] += first[static_cast<size_t>(pieces - 1 - i)];
        });
      }
    });
    EXPECT_EQ(first, std::vector<int>(static_cast<size_t>(pieces), 20));
    EXPECT_EQ(second, std::vector<int>(static_cast<size_t>(pieces), 20 * 21 / 2));
  }
}

TEST_P(ThreadTeamTest, TwoListsAreDealtAsOneARanksShareOfEachInTurn) {
  ThreadTeam team(GetParam());
  for (const int64_t first : {0, 1, 3, 8, 100}) {
    for (const int64_t second : {0, 1, 2, 18, 90}) {
      std::vector<int> counts(static_cast<size_t>(first + second));
      std::vector<std::vector<int64_t>> seen(static_cast<size_t>(GetParam()));
      team.run([&](WorkShare share) {
        team.stage(share, {first, second}, [&](int64_t piece) {
          ++counts[static_cast<size_t>(piece)];
          seen[static_cast<size_t>(share.rank)].push_back(piece);
        });
      });
      EXPECT_EQ(counts, std::vector<int>(counts.size(), 1));
      for (int rank = 0; rank < GetParam(); ++rank) {
        const WorkShare share{rank, GetParam()};
        const auto is_own = [&](int64_t piece) {
          const bool in_first = piece < first;
          const int64_t of = in_first ? first : second, at = in_first ? piece : piece - first;
          return share.begin(of) <= at && at < share.end(of);
        };
        const auto& pieces = seen[static_cast<size_t>(rank)];
        const auto others = std::ranges::find_if_not(pieces, is_own);
        EXPECT_TRUE(std::is_sorted(pieces.begin(), others));
        EXPECT_TRUE(std::none_of(others, pieces.end(), is_own));
      }
    }
  }
}

TEST_P(ThreadTeamTest, TheOthersTakeOverWhatASlowRankHasNotBegun) {
  if (GetParam() == 1) GTEST_SKIP() << "one rank has no others";
  ThreadTeam team(GetParam());
  constexpr int64_t kPieces = 60;
  std::atomic<int64_t> done{0};
  std::atomic<int> by_first{0};
  team.run([&](WorkShare share) {
    team.stage(share, kPieces, [&](int64_t) {
      if (share.rank == 0) {  // holds its first piece until the others have done all the rest
        ++by_first;
        while (done < kPieces - 1) std::this_thread::yield();
      }
      ++done;
    });
  });
  EXPECT_EQ(done, kPieces);
  EXPECT_LE(by_first, 1);
}

TEST(ThreadTeam, WhoWaitsIsIdle) {
  ThreadTeam team(2);
  std::atomic<int> idled{0};
  team.run([&](WorkShare share) {
    const auto work = [&](int64_t piece) {
      while (piece == 0 && idled == 0) std::this_thread::yield();
    };
    team.stage(share, share.ranks, work, [&] { ++idled; });
  });
  EXPECT_GT(idled, 0);
}

TEST(ThreadTeam, LeavesTheCallersProcessorsAsTheyWere) {
  cpu_set_t before, after;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof before, &before), 0);
  ThreadTeam team(CPU_COUNT(&before));
  std::atomic<int> ran{0};
  team.run([&](WorkShare) { ++ran; });
  EXPECT_EQ(ran, CPU_COUNT(&before));
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
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
