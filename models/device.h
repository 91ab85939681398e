#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace surprisal {

/// The device a configuration names: cpu, cuda, cuda:N, or auto (a GPU where LibTorch sees one).
/// LibTorch's CUDA library is opened here, at run time, so that one binary serves machines with and
/// without a GPU.
/// @throws Error(kConfig) for another name; Error(kUnsupported) when cuda is asked for and there is
///         none, with the reason
at::Device resolve_device(const std::string& name);

/// float32, bfloat16, float16, or auto: what the device does best (float32 on a CPU, bfloat16 on a
/// GPU). @throws Error(kConfig)
at::ScalarType resolve_dtype(const std::string& name, at::Device device);

/// "float32", "bfloat16", "float16".
std::string dtype_name(at::ScalarType dtype);

}  // namespace surprisal
