#include "models/cpu/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <optional>

#include "lib/error.h"

namespace surprisal {
namespace {

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
  // To be bound and let go takes 30 us, of system code that is no longer in the caches.
  std::optional<OnProcessor> own;
  if (!processors_.empty() && sched_getcpu() != processors_[0]) own.emplace(processors_, 0);
  if (size_ > 1) {
    work_ = &work;
    run_.fetch_add(1, std::memory_order_release);
    run_.notify_all();
  }
  work({0, size_});
  wait();
}

ThreadTeam::Taken ThreadTeam::Hand::take(uint32_t of_round, int64_t count) {
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
    if (!spin(kSpinsBetween, started, kPause)) run_.wait(seen, std::memory_order_acquire);
    if (work_ == nullptr) return;
    (*work_)({rank, size_});
    wait();
  }
}

}  // namespace surprisal
