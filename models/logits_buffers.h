#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

namespace surprisal {

/// Memory on the host for the logits of forward passes, used again once nobody holds a pass's any
/// more. Callers that hold some of them for a while would tear holes into a heap that serves small
/// requests, too, and pages new to the program would have to be cleared at each pass.
class LogitsBuffers {
 public:
  /// @param from  where the logits are computed: a GPU writes to pinned memory directly
  explicit LogitsBuffers(at::Device from = at::kCPU) : pinned_(!from.is_cpu()) {}

  /// @return [rows, width] float32, not initialised
  at::Tensor take(int64_t rows, int64_t width);
  /// @param logits  [rows, width] float32
  /// @return the same if they are on the host, else a copy of them
  at::Tensor on_host(const at::Tensor& logits);

 private:
  bool pinned_;
  std::vector<at::Tensor> buffers_;
};

}  // namespace surprisal
