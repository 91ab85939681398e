#include "models/cpu/thread_team.h"

#include <hwy/cache_control.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>

#include "lib/error.h"

namespace surprisal {
namespace {

// A pause takes about 40 cycles on Zen 4 and 140 on Intel since Skylake.
constexpr int kSpinsInside = 2000;    // inside a run: the others are at work (about 30 us)
constexpr int kSpinsBetween = 20000;  // between runs: a decode loop soon starts the next

// True as soon as `done` is; false after `spins` tries.
template <class Condition>
bool spin(int spins, const Condition& done) {
  for (int i = 0; i < spins; ++i) {
    if (done()) return true;
    hwy::Pause();
  }
  return done();
}

/// The processors the calling thread may use, if there are exactly `size`.
std::vector<int> processors_for(int size) {
  std::vector<int> allowed;
  cpu_set_t set;
  if (pthread_getaffinity_np(pthread_self(), sizeof set, &set) != 0) return {};
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) allowed.push_back(i);
  }
  return static_cast<int>(allowed.size()) == size ? allowed : std::vector<int>{};
}

/// Keeps the calling thread on one processor while it lives. It only makes things faster, so that a
/// refusal of the system is no error.
class OnProcessor {
 public:
  /// @param processors  empty: does nothing
  OnProcessor(const std::vector<int>& processors, int rank) {
    if (processors.size() < 2) return;
    moved_ = pthread_getaffinity_np(pthread_self(), sizeof before_, &before_) == 0;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(processors[static_cast<size_t>(rank)], &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  }
  ~OnProcessor() {
    if (moved_) pthread_setaffinity_np(pthread_self(), sizeof before_, &before_);
  }
  OnProcessor(const OnProcessor&) = delete;
  OnProcessor& operator=(const OnProcessor&) = delete;

 private:
  cpu_set_t before_;
  bool moved_ = false;
};

}  // namespace

ThreadTeam::ThreadTeam(int size)
    : size_(size),
      hands_(static_cast<size_t>(std::max(size, 0))),
      processors_(processors_for(size)) {
  if (size < 1) throw Error(ErrorCode::kConfig, "a team needs at least one thread");
  for (int rank = 1; rank < size; ++rank) workers_.emplace_back([this, rank] { work_as(rank); });
}

ThreadTeam::~ThreadTeam() {
  work_ = nullptr;
  run_.fetch_add(1, std::memory_order_release);
  run_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadTeam::run(const std::function<void(WorkShare)>& work) {
  const std::lock_guard lock(turn_);
  const OnProcessor own(processors_, 0);
  if (size_ > 1) {
    work_ = &work;
    run_.fetch_add(1, std::memory_order_release);
    run_.notify_all();
  }
  work({0, size_});
  wait();
}

void ThreadTeam::wait() {
  if (size_ == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == size_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  const auto over = [&] { return phase_.load(std::memory_order_acquire) != phase; };
  if (!spin(kSpinsInside, over)) phase_.wait(phase, std::memory_order_acquire);
}

ThreadTeam::Pieces ThreadTeam::Hand::take(uint32_t of_round, int64_t count) {
  constexpr int64_t kParts = 16;
  // Whoever comes first in a stage finds the count of an earlier one. Nothing is ordered by this
  // number: wait() does that.
  uint64_t seen = taken.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t begin = (seen >> 32) == of_round ? static_cast<int64_t>(seen & 0xffffffffu) : 0;
    if (begin >= count) return {count, count};
    const int64_t end = begin + std::max<int64_t>(1, (count - begin) / kParts);
    const uint64_t mine = uint64_t{of_round} << 32 | static_cast<uint64_t>(end);
    if (taken.compare_exchange_weak(seen, mine, std::memory_order_relaxed)) return {begin, end};
  }
}

void ThreadTeam::work_as(int rank) {
  const OnProcessor own(processors_, rank);
  for (uint32_t seen = 0;; ++seen) {
    const auto started = [&] { return run_.load(std::memory_order_acquire) != seen; };
    if (!spin(kSpinsBetween, started)) run_.wait(seen, std::memory_order_acquire);
    if (work_ == nullptr) return;
    (*work_)({rank, size_});
    wait();
  }
}

}  // namespace surprisal
