// Memory that runs out anywhere leaves the engine usable. A program of its own, since it replaces
// operator new.

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "experiments/strategies/strategy.h"
#include "lib/draws.h"
#include "tests/experiments/hand_made_model.h"

namespace {

/// Allocations of this thread before one that fails; negative: none does.
thread_local int64_t allocations_left = -1;
/// Bytes; what is smaller does not fail: nlohmann's JSON allocates up to 128 bytes in its
/// destructor for an event of ours, where a failure ends the program.
constexpr size_t kSmallestThatFails = 129;

void* allocate(size_t size, size_t alignment) {
  if (size >= kSmallestThatFails) {
    if (allocations_left == 0) throw std::bad_alloc();
    if (allocations_left > 0) --allocations_left;
  }
  void* memory = nullptr;
  if (::posix_memalign(&memory, std::max(alignment, sizeof(void*)), std::max<size_t>(size, 1)) != 0)
    throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new[](size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}

namespace surprisal {
namespace {

/// The model's own arithmetic is LibTorch's, which ends the program where it finds no memory; what
/// is tried here is everything of ours around it.
class SparedModel : public testing::FakeModel {
 public:
  SparedModel() : FakeModel(8, 64) {}
  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override {
    const int64_t left = std::exchange(allocations_left, -1);
    StepOutput output = FakeModel::forward(rows, cache, request);
    allocations_left = left;
    if (fails_at >= 0 && fails_at-- == 0) throw std::bad_alloc();
    return output;
  }
  /// On this thread, whose allocations are counted.
  void parallel(int64_t count, const std::function<void(int64_t)>& work) const override {
    for (int64_t i = 0; i < count; ++i) work(i);
  }
  mutable int64_t fails_at = -1;  ///< forward passes that still succeed; negative: all do
};

/// Forks, thinks and rewinds, a few answers side by side.
class Work {
 public:
  Work() {
    for (int64_t id = 0; id < 4; ++id) {
      GenerationRequest& request = requests_.emplace_back();
      request.id = id;
      request.prompt = {6, 6, static_cast<TokenId>(id / 2)};
      request.sampler = &sampler_;
      request.max_new_tokens = 10;
      if (id == 3) {
        request.strategy = strategy_.get();
        for (uint64_t member = 0; member < 3; ++member) request.member_keys.push_back(member);
      }
    }
  }

  std::vector<std::string> run(Engine& engine) const {
    std::vector<std::string> texts(requests_.size());
    size_t at = 0;
    engine.run(
        [&]() -> std::optional<GenerationRequest> {
          if (at == requests_.size()) return std::nullopt;
          return requests_[at++];
        },
        [&](GenerationResult result) {
          texts[static_cast<size_t>(result.id)] = std::move(result.response);
        });
    return texts;
  }

 private:
  testing::ScriptedSampler sampler_{[](const StepView& view) -> std::optional<Action> {
    const size_t taken = view.generated().size();
    if (taken == 1) return Branch{{0, 1}, {.horizon = 3}};
    if (taken == 5 && view.generated()[4] != 3) return Rewind{1, true};
    if (taken == 6) return Inject{{3, 3}, "dd"};
    return std::nullopt;
  }};
  std::unique_ptr<Strategy> strategy_ =
      create_strategy(builtin_strategies(), YAML::Load("{type: best_of_n, n: 3}"), "", "", nullptr);
  std::vector<GenerationRequest> requests_;
};

EngineOptions tight() {
  const SparedModel model;
  // Just enough for the work, so that a block that is lost would be missed.
  return {.batch = 3, .memory_bytes = 3 * KVCache::bytes_per_block(model.config(), at::kFloat)};
}

TEST(FailedAllocation, LeavesTheEngineUsable) {
  const SparedModel model;
  const testing::LetterTokenizer tokenizer(8);
  const Work work;
  Engine engine(model, tokenizer, tight());
  const std::vector<std::string> expected = work.run(engine);
  int64_t failures = 0;
  for (int64_t allowed = 0;; allowed += 1 + allowed / 100) {
    bool failed = false;
    try {
      allocations_left = allowed;
      work.run(engine);
      allocations_left = -1;
    } catch (const std::bad_alloc&) {
      allocations_left = -1;
      failed = true;
    }
    if (!failed) break;
    ++failures;
    ASSERT_EQ(work.run(engine), expected) << "after the failure of allocation " << allowed;
  }
  EXPECT_GT(failures, 150);
}

TEST(FailedAllocation, InTheModelLeavesTheEngineUsable) {
  const SparedModel model;
  const testing::LetterTokenizer tokenizer(8);
  const Work work;
  Engine engine(model, tokenizer, tight());
  const std::vector<std::string> expected = work.run(engine);
  for (int64_t pass = 0; pass < 12; ++pass) {
    model.fails_at = pass;
    EXPECT_THROW(work.run(engine), std::bad_alloc);
    model.fails_at = -1;
    ASSERT_EQ(work.run(engine), expected) << "after a failure in pass " << pass;
  }
}

}  // namespace
}  // namespace surprisal
