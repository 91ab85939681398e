// Micro-benchmarks of the CPU kernels beside at::linear, in one process. The shapes are SmolLM2's;
// each benchmark walks through enough copies of a matrix to read them from memory, as a decoding
// step does. `CPU` is the time to look at on a shared machine. Counters: bytes of packed weights
// and flops a second.
//
//   bench_kernels --benchmark_filter='linear/.*/1/' --benchmark_min_time=0.2
//
// `attention/PATH/DTYPE/ROWS/CONTEXT/LAYERS` reads the cache of so many layers in turn on one
// thread: of one layer, from the processor's caches; of 30, from memory.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <deque>
#include <string>

#include "models/batch.h"
#include "models/cpu/amx_kernels.h"
#include "models/cpu/packed_linear.h"
#include "models/cpu/ragged_attention.h"
#include "models/cpu/thread_team.h"
#include "models/kv_cache.h"
#include "tools/bench/roof.h"

namespace surprisal::bench {
namespace {

constexpr int64_t kWorkingSet = int64_t{192} << 20;

struct Shape {
  const char* name;
  int64_t out, in;
};
constexpr Shape kShapes[] = {{"small", 128, 576},
                             {"q", 576, 576},
                             {"gate", 1536, 576},
                             {"down", 576, 1536},
                             {"head", 49152, 576}};

void set_counters(benchmark::State& state, double bytes, double flops) {
  using benchmark::Counter;
  state.counters["bytes"] = Counter(bytes, Counter::kIsIterationInvariantRate);
  state.counters["flops"] = Counter(flops, Counter::kIsIterationInvariantRate);
}

// What weights are stored as, and whether products are in bfloat16.
struct Form {
  const char* name;
  at::ScalarType dtype;
  WeightType type;
  bool rounded = false;
};
constexpr Form kForms[] = {
    {"float", at::kFloat, WeightType::kFloat32},
    {"half", at::kHalf, WeightType::kFloat16},
    {"bfloat16", at::kBFloat16, WeightType::kBfloat16},
    {"compact", at::kBFloat16, WeightType::kCompactBfloat16},
    {"bfloat16_rounded", at::kBFloat16, WeightType::kBfloat16, true},
    {"compact_rounded", at::kBFloat16, WeightType::kCompactBfloat16, true},
};

void packed_linear(benchmark::State& state, Shape shape, CpuPath path, Form form) {
  const int64_t rows = state.range(0);
  const at::Tensor weight = (at::randn({shape.out, shape.in}) * 0.02).to(form.dtype);
  const int64_t bytes = PackedLinear::packed_bytes(shape.out, shape.in, form.type);
  const int64_t copies = std::max<int64_t>(1, kWorkingSet / bytes);
  WeightArena arena(copies * bytes);
  std::deque<PackedLinear> layers;
  for (int64_t i = 0; i < copies; ++i) {
    layers.emplace_back(shape.out, shape.in, form.type, false, arena, path);
    if (!layers.back().pack(weight, {})) return state.SkipWithError("weights do not fit the form");
  }
  at::Tensor x = at::randn({rows, shape.in + 16});
  const at::Tensor y = at::empty({rows, shape.out + 16});
  if (form.rounded) {
    const at::Tensor values = x.clone();
    linear_kernels(path).round({.x = values.const_data_ptr<float>(),
                                .to = x.mutable_data_ptr<float>(),
                                .n = shape.in,
                                .rows = rows,
                                .x_stride = x.size(1),
                                .to_stride = x.size(1)});
  }
  const amx::KeptTiles tiles(path);  // as for a step
  for (auto _ : state) {
    for (const PackedLinear& layer : layers) {
      layer.forward({x.const_data_ptr<float>(), x.size(1), form.rounded}, rows,
                    {y.mutable_data_ptr<float>(), y.size(1)});
    }
  }
  set_counters(
      state,
      static_cast<double>(copies * PackedLinear::weight_bytes(shape.out, shape.in, form.type)),
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

// Decoding rows of SmolLM2's shape, statistics included.
void attention(benchmark::State& state, CpuPath path, at::ScalarType dtype) {
  const int64_t rows = state.range(0), context = state.range(1), layers = state.range(2);
  ModelConfig config;
  config.vocab_size = 1;
  config.head_dim = 64;
  config.num_attention_heads = 9;
  config.num_key_value_heads = 3;
  config.hidden_size = config.num_attention_heads * config.head_dim;
  config.num_hidden_layers = layers;
  config.max_position_embeddings = context + 1;
  KVCache cache(config, rows * KVCache::blocks_for(context), dtype, at::kCPU);
  for (int64_t layer = 0; layer < layers; ++layer) {
    cache.keys(layer).normal_();
    cache.values(layer).normal_();
  }
  const TokenId token = 0;
  std::vector<ModelRow> decoding;
  for (int64_t row = 0; row < rows; ++row) {
    const KVCache::SequenceId sequence = cache.create();
    cache.reserve(sequence, context - 1);
    cache.advance(sequence, context - 1);
    decoding.push_back({.sequence = sequence, .tokens = {&token, 1}});
  }
  const ForwardRequest request{.attention_statistics = true};
  const Batch batch = make_batch(decoding, cache, request, config);
  const AttentionOutput output = make_attention_output(request, config, batch, at::kCPU);
  const at::Tensor q = at::randn({rows, config.hidden_size}), out = at::empty_like(q);
  RaggedAttention ragged(config, path, 1);
  ragged.plan(batch, 0, rows, true, false);
  const auto put = [&](int64_t row, int64_t head, int64_t heads, const float* outputs) {
    std::copy_n(outputs, heads * config.head_dim,
                out.mutable_data_ptr<float>() + row * config.hidden_size + head * config.head_dim);
  };
  const amx::KeptTiles tiles(path);  // as for a step
  for (auto _ : state) {
    for (int64_t i = 0; i < layers; ++i) {
      const RaggedAttention::Layer layer{
          .q = q.const_data_ptr<float>(),
          .q_stride = q.size(1),
          .cache = dtype == at::kFloat ? CacheType::kFloat32 : CacheType::kBfloat16,
          .keys = cache.keys(i).const_data_ptr(),
          .values = cache.values(i).const_data_ptr(),
          .block_stride = cache.values(i).stride(0),
          .per_head = output.per_head.mutable_data_ptr<float>(),
          .per_layer = output.per_layer.mutable_data_ptr<float>(),
          .per_head_stride = output.per_head.stride(0),
          .per_layer_stride = output.per_layer.stride(0)};
      ragged.begin_layer({});
      for (int64_t piece = 0; piece < ragged.attend_pieces(); ++piece) {
        ragged.attend(layer, piece, 0, put);
      }
      for (int64_t piece = 0; piece < ragged.compare_pieces(layer); ++piece) {
        ragged.compare(layer, piece);
      }
      for (int64_t piece = 0; piece < ragged.finish_pieces(layer); ++piece) {
        ragged.finish(layer, piece);
      }
    }
  }
  const int64_t numbers = 2 * config.num_key_value_heads * config.head_dim;
  const int64_t multiplications = 2 * config.hidden_size;
  set_counters(state,
               static_cast<double>(layers * rows * context * numbers *
                                   static_cast<int64_t>(c10::elementSize(dtype))),
               static_cast<double>(2 * layers * rows * context * multiplications));
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
  for (const CpuPath path : available_cpu_paths()) {
    for (const at::ScalarType dtype : {at::kBFloat16, at::kFloat}) {
      if (path == CpuPath::kPortable) continue;
      benchmark::RegisterBenchmark(
          ("attention/" + std::string(cpu_path_name(path)) + "/" + c10::toString(dtype)).c_str(),
          attention, path, dtype)
          ->ArgsProduct({{1, 16, 64}, {160, 544}, {1, 30}})
          ->Unit(benchmark::kMicrosecond);
    }
  }
  for (const Shape& shape : kShapes) {
    for (const Form& form : kForms) {
      const std::string name = std::string(shape.name) + "/" + form.name;
      for (const CpuPath path : available_cpu_paths()) {
        const bool compact = form.type == WeightType::kCompactBfloat16;
        if (path == CpuPath::kPortable || (compact && !linear_kernels(path).compact)) continue;
        rows(benchmark::RegisterBenchmark(
            ("linear/" + std::string(cpu_path_name(path)) + "/" + name).c_str(), packed_linear,
            shape, path, form));
      }
    }
    for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
      const std::string name = std::string(shape.name) + "/" + c10::toString(dtype);
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
