#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "models/cpu/work_share.h"

namespace surprisal {

/// A few threads that carry out one computation together, in step. A forward pass is one run() with
/// a wait() between its stages, instead of one parallel region per operation: a wait costs 0.2 us
/// while all are running, a region of LibTorch's OpenMP pool 2 to 5 us.
///
/// Threads that wait first spin for a moment, then sleep, so that a machine with fewer idle
/// processors than threads still gets on.
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
  void wait();

 private:
  void work_as(int rank);

  const int size_;
  std::mutex turn_;                                       // one run() at a time
  const std::function<void(WorkShare)>* work_ = nullptr;  // of the current run; null: stop
  std::atomic<uint32_t> run_{0};                          // counts runs; workers sleep on it
  alignas(64) std::atomic<int> arrived_{0};               // at the current wait
  alignas(64) std::atomic<uint32_t> phase_{0};            // counts waits that are over
  std::vector<std::thread> workers_;
};

}  // namespace surprisal
