#include "models/logits_buffers.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <bit>

#include "models/huge_pages.h"

namespace surprisal {

at::Tensor LogitsBuffers::take(int64_t rows, int64_t width) {
  const auto capacity = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(rows)));
  const auto kind = at::TensorOptions().dtype(at::kFloat).pinned_memory(pinned_);
  const auto is_idle = [](const at::Tensor& buffer) { return buffer.storage().use_count() == 1; };
  auto buffer = std::ranges::find_if(buffers_, [&](const at::Tensor& each) {
    return is_idle(each) && each.size(0) == capacity && each.size(1) == width;
  });
  if (buffer == buffers_.end()) {  // passes of other sizes are over, for now
    std::erase_if(buffers_, is_idle);
    buffer = buffers_.insert(buffers_.end(), at::empty({capacity, width}, kind));
    // A product writes a little of many rows in turn: to as many pages, or to few.
    if (!pinned_)
      prefer_huge_pages(buffer->mutable_data_ptr(), static_cast<int64_t>(buffer->nbytes()));
  }
  std::atomic_thread_fence(std::memory_order_acquire);  // after whoever held it last has read it
  return buffer->narrow(0, 0, rows);
}

at::Tensor LogitsBuffers::on_host(const at::Tensor& logits) {
  if (logits.is_cpu()) return logits;
  return take(logits.size(0), logits.size(1)).copy_(logits);
}

}  // namespace surprisal
