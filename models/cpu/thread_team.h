#pragma once

#include <hwy/cache_control.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "models/cpu/work_share.h"

namespace surprisal {

/// A few threads that carry out one computation together, in step. A forward pass is one run() of
/// many stages, instead of one parallel region per operation: to end a stage costs 0.2 us while all
/// are running, a region of LibTorch's OpenMP pool 2 to 5 us.
///
/// On a machine that does other things too, threads lose their processors at times. Those that wait
/// spin for a moment, then sleep; what a stage consists of is dealt in pieces, so that the others
/// take over what a stopped thread has not taken; and a team as large as the number of processors
/// its maker may use keeps each thread on one of them during a run (the caller only if it comes
/// from another), because two that share one while another program has the other take turns at
/// every stage.
class ThreadTeam {
 public:
  /// @param size  threads, the caller of run() included; >= 1
  explicit ThreadTeam(int size);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return size_; }

  /// Calls work(share) once for each rank, rank 0 on the calling thread, and returns when all have
  /// returned. `work` must not throw. Concurrent callers take turns.
  void run(const std::function<void(WorkShare)>& work);

  /// Inside run(): returns when every rank has called it; what each wrote before is visible after.
  /// @param idle  called over and over meanwhile; short
  template <class Idle>
  void wait(const Idle& idle) {
    if (size_ == 1) return;
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
    } else {
      const auto over = [&] { return phase_.load(std::memory_order_acquire) != phase; };
      if (!spin(kSpinsInside, over, idle)) phase_.wait(phase, std::memory_order_acquire);
    }
  }
  void wait() { wait(kPause); }

  /// The pieces of a stage, [0, first), and of another that needs no wait in between,
  /// [first, first + second): a rank's share of those comes after its share of these.
  struct Pieces {
    Pieces(int64_t of_first, int64_t of_second = 0) : first(of_first), second(of_second) {}
    int64_t first, second;
  };

  /// Inside run(), to be called by every rank alike: calls work(piece) once for each piece, on any
  /// rank and in any order, and then waits. A rank first takes the pieces of its own share in
  /// order, then what others have not taken; a sixteenth of what is left of a share at once, one
  /// piece at least, so that the many small pieces of a short stage cost little to take.
  template <class Work, class Idle>
  void stage(WorkShare share, Pieces pieces, const Work& work, const Idle& idle) {
    const uint32_t round = ++hands_[static_cast<size_t>(share.rank)].round;
    for (int i = 0; i < size_; ++i) {
      const WorkShare of{(share.rank + i) % size_, size_};
      const int64_t first = of.begin(pieces.first), firsts = of.end(pieces.first) - first;
      const int64_t second = of.begin(pieces.second);
      const int64_t count = firsts + of.end(pieces.second) - second;
      Hand& hand = hands_[static_cast<size_t>(of.rank)];
      for (Taken next = hand.take(round, count); !next.empty(); next = hand.take(round, count)) {
        for (int64_t n = next.begin; n < next.end; ++n)
          work(n < firsts ? first + n : pieces.first + second + n - firsts);
      }
    }
    wait(idle);
  }
  template <class Work>
  void stage(WorkShare share, Pieces pieces, const Work& work) {
    stage(share, pieces, work, kPause);
  }

 private:
  // Not the function itself, which unoptimised builds refuse to inline through a pointer.
  static constexpr auto kPause = [] { hwy::Pause(); };
  // A pause takes about 40 cycles on Zen 4 and 140 on Intel since Skylake.
  static constexpr int kSpinsInside = 2000;    // the others are at work (about 30 us)
  static constexpr int kSpinsBetween = 20000;  // between runs: a decode loop soon starts the next

  /// True as soon as `done` is; false after `spins` tries.
  template <class Condition, class Idle>
  static bool spin(int spins, const Condition& done, const Idle& idle) {
    for (int i = 0; i < spins; ++i) {
      if (done()) return true;
      idle();
    }
    return done();
  }

  struct Taken {
    int64_t begin, end;
    bool empty() const { return begin == end; }
  };
  /// The pieces of one rank's share that are taken.
  struct alignas(64) Hand {
    std::atomic<uint64_t> taken{0};  // of the stage in the upper half, the number in the lower
    uint32_t round = 0;              // stages its rank has begun
    /// The next pieces, none if none is left.
    Taken take(uint32_t of_round, int64_t count);
  };
  void work_as(int rank);

  const int size_;
  std::mutex turn_;                                       // one run() at a time
  const std::function<void(WorkShare)>* work_ = nullptr;  // of the current run; null: stop
  std::atomic<uint32_t> run_{0};                          // counts runs; workers sleep on it
  alignas(64) std::atomic<int> arrived_{0};               // at the current wait
  alignas(64) std::atomic<uint32_t> phase_{0};            // counts waits that are over
  std::vector<Hand> hands_;
  std::vector<int> processors_;  // one for each rank, or empty: wherever the system puts them
  std::vector<std::thread> workers_;
};

}  // namespace surprisal
