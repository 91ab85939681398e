#include "models/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <charconv>
#include <filesystem>
#include <vector>

#include "lib/error.h"

namespace surprisal {
namespace {

/// Opens libtorch_cuda.so beside the libtorch_cpu.so in use; its constructors register the back
/// end. @return why it could not be opened, or ""
std::string open_cuda_library() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&at::globalContext), &info) == 0 ||
      info.dli_fname == nullptr)
    return "LibTorch's folder is not known";
  const std::filesystem::path folder = std::filesystem::path(info.dli_fname).parent_path();
  const std::string library = (folder / "libtorch_cuda.so").string();
  if (!std::filesystem::exists(library)) return library + " does not exist: a CPU-only LibTorch";
  // Never closed: LibTorch's registrations point into it.
  if (::dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) return ::dlerror();
  return "";
}

/// @return why there is no usable GPU, or ""
const std::string& cuda_problem() {
  static const std::string problem = [] {
    // Without a driver there is no GPU, and the library (seconds to load) need not be opened.
    void* driver = ::dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == nullptr) return std::string("no NVIDIA driver (libcuda.so.1) on this machine");
    std::string reason = open_cuda_library();
    if (reason.empty() && !at::globalContext().hasCUDA()) reason = "LibTorch sees no GPU";
    if (reason.empty()) {
      try {
        at::globalContext().lazyInitDevice(at::kCUDA);
      } catch (const c10::Error& error) {
        reason = error.what_without_backtrace();
      }
    }
    return reason;
  }();
  return problem;
}

Error unknown(const std::string& what, const std::string& name,
              const std::vector<std::string>& known) {
  return Error(ErrorCode::kConfig, unknown_name_error(what, name, known).what());
}

}  // namespace

at::Device resolve_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (name == "auto") return cuda_problem().empty() ? at::Device(at::kCUDA, 0) : at::kCPU;
  int index = 0;
  bool known = name == "cuda";
  if (name.starts_with("cuda:") && name.size() > 5) {
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 5, end, index);
    known = error == std::errc() && stop == end && index >= 0;
  }
  if (!known) throw unknown("device", name, {"auto", "cpu", "cuda", "cuda:0"});
  if (!cuda_problem().empty())
    throw Error(ErrorCode::kUnsupported,
                "device " + name + ": " + cuda_problem() + "; use device: cpu");
  const auto count = at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount();
  if (index >= count)
    throw Error(ErrorCode::kUnsupported,
                "device " + name + ": this machine has " + std::to_string(count) + " GPU(s)");
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

at::ScalarType resolve_dtype(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  if (name == "int8") {
    if (device.is_cpu()) return at::kChar;
    throw Error(ErrorCode::kUnsupported,
                "dtype int8: only the CPU has kernels for it, found device " + device.str() +
                    "; use bfloat16 there");
  }
  throw unknown("dtype", name, {"auto", "bfloat16", "float16", "float32", "int8"});
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    case at::kChar:
      return "int8";
    default:
      throw Error(ErrorCode::kInternal, "a dtype no model of ours has");
  }
}

}  // namespace surprisal
