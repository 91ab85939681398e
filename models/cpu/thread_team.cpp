#include "models/cpu/thread_team.h"

#include <hwy/cache_control.h>

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

}  // namespace

ThreadTeam::ThreadTeam(int size) : size_(size) {
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

void ThreadTeam::work_as(int rank) {
  for (uint32_t seen = 0;; ++seen) {
    const auto started = [&] { return run_.load(std::memory_order_acquire) != seen; };
    if (!spin(kSpinsBetween, started)) run_.wait(seen, std::memory_order_acquire);
    if (work_ == nullptr) return;
    (*work_)({rank, size_});
    wait();
  }
}

}  // namespace surprisal
