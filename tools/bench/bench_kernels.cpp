// Micro-benchmarks of the CPU kernels beside at::linear, in one process. The shapes are SmolLM2's;
// each benchmark walks through enough copies of a matrix to read them from memory, as a decoding
// step does. `CPU` is the time to look at on a shared machine. Counters: bytes of packed weights
// and flops a second.
//
//   bench_kernels --benchmark_filter='linear/.*/1/' --benchmark_min_time=0.2
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <deque>
#include <string>

#include "models/cpu/packed_linear.h"
#include "models/cpu/thread_team.h"
#include "tools/bench/roof.h"

namespace surprisal::bench {
namespace {

constexpr int64_t kWorkingSet = int64_t{192} << 20;

struct Shape {
  const char* name;
  int64_t out, in;
};
constexpr Shape kShapes[] = {
    {"q", 576, 576}, {"gate", 1536, 576}, {"down", 576, 1536}, {"head", 49152, 576}};

void set_counters(benchmark::State& state, double bytes, double flops) {
  using benchmark::Counter;
  state.counters["bytes"] = Counter(bytes, Counter::kIsIterationInvariantRate);
  state.counters["flops"] = Counter(flops, Counter::kIsIterationInvariantRate);
}

void packed_linear(benchmark::State& state, Shape shape, CpuPath path, at::ScalarType dtype) {
  const int64_t rows = state.range(0);
  const at::Tensor weight = at::randn({shape.out, shape.in}).to(dtype);
  const int64_t bytes = PackedLinear::packed_bytes(shape.out, shape.in, dtype, path);
  const int64_t copies = std::max<int64_t>(1, kWorkingSet / bytes);
  WeightArena arena(copies * bytes);
  std::deque<PackedLinear> layers;
  for (int64_t i = 0; i < copies; ++i)
    layers.emplace_back(shape.out, shape.in, dtype, false, arena, path).pack(weight, {});
  const at::Tensor x = at::randn({rows, shape.in + 16}), y = at::empty({rows, shape.out});
  for (auto _ : state) {
    for (const PackedLinear& layer : layers) {
      layer.forward({x.const_data_ptr<float>(), x.size(1)}, rows,
                    {y.mutable_data_ptr<float>(), y.size(1)});
    }
  }
  set_counters(state, static_cast<double>(copies * layers[0].weight_bytes()),
               static_cast<double>(2 * copies * shape.out * shape.in * rows));
}

void at_linear(benchmark::State& state, Shape shape, at::ScalarType dtype) {
  at::set_num_threads(1);
  const int64_t rows = state.range(0);
  const at::Tensor weight = at::randn({shape.out, shape.in}).to(dtype);
  const auto bytes = static_cast<int64_t>(weight.nbytes());
  const int64_t copies = std::max<int64_t>(1, kWorkingSet / bytes);
  std::vector<at::Tensor> layers;
  for (int64_t i = 0; i < copies; ++i) layers.push_back(weight.clone());
  const at::Tensor x = at::randn({rows, shape.in}).to(dtype);
  for (auto _ : state) {
    for (const at::Tensor& layer : layers) benchmark::DoNotOptimize(at::linear(x, layer));
  }
  set_counters(state, static_cast<double>(copies * bytes),
               static_cast<double>(2 * copies * shape.out * shape.in * rows));
}

void team_wait(benchmark::State& state) {
  ThreadTeam team(static_cast<int>(state.range(0)));
  constexpr int kWaits = 1000;
  for (auto _ : state) {
    team.run([&](WorkShare) {
      for (int i = 0; i < kWaits; ++i) team.wait();
    });
  }
  state.counters["seconds"] = benchmark::Counter(
      kWaits, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void roof(benchmark::State& state) {
  Roof best{};
  for (auto _ : state) {
    const Roof now = measure_roof(static_cast<int>(state.range(0)));
    best.read_bytes_per_second = std::max(best.read_bytes_per_second, now.read_bytes_per_second);
    best.flops_per_second = std::max(best.flops_per_second, now.flops_per_second);
  }
  state.counters["bytes"] = best.read_bytes_per_second;
  state.counters["flops"] = best.flops_per_second;
}

void register_all() {
  benchmark::RegisterBenchmark("roof", roof)->Arg(1)->Arg(2)->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("team_wait", team_wait)->Arg(1)->Arg(2)->UseRealTime();
  const auto rows = [](benchmark::internal::Benchmark* b) {
    for (const int64_t n : {1, 2, 4, 8, 16, 64, 256}) b->Arg(n);
    b->Unit(benchmark::kMillisecond);
  };
  for (const Shape& shape : kShapes) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      const std::string name = std::string(shape.name) + "/" + c10::toString(dtype);
      for (const CpuPath path : available_cpu_paths()) {
        if (path == CpuPath::kPortable) continue;
        rows(benchmark::RegisterBenchmark(
            ("linear/" + std::string(cpu_path_name(path)) + "/" + name).c_str(), packed_linear,
            shape, path, dtype));
      }
      rows(benchmark::RegisterBenchmark(("linear/aten/" + name).c_str(), at_linear, shape, dtype));
    }
  }
}

}  // namespace
}  // namespace surprisal::bench

int main(int argc, char** argv) {
  surprisal::bench::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
