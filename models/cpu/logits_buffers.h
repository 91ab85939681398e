#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace surprisal {

/// Memory for the logits of forward passes, used again once nobody holds a pass's any more. Callers
/// that hold some of them for a while would tear holes into a heap that serves small requests, too,
/// and pages new to the program would have to be cleared at each pass.
class LogitsBuffers {
 public:
  /// @return [rows, width] float32, not initialised
  at::Tensor take(int64_t rows, int64_t width);

 private:
  std::vector<at::Tensor> buffers_;
};

}  // namespace surprisal
