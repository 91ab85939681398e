#include "tools/bench/roof.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tools/bench/roof.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>  // IWYU pragma: keep
#include <hwy/highway.h>

#if HWY_ARCH_X86
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "models/cpu/amx_kernels.h"
#include "models/cpu/cpu_path.h"
#include "models/cpu/thread_team.h"
#include "models/cpu/weight_arena.h"

#ifndef SURPRISAL_BENCH_ROOF_PROBE  // this file is compiled several times over
#define SURPRISAL_BENCH_ROOF_PROBE
namespace surprisal::bench {
struct Probe {
  float (*read)(const float*, int64_t);
  float (*multiply_add)(int64_t, int64_t&);
};
}  // namespace surprisal::bench
#endif

HWY_BEFORE_NAMESPACE();
namespace surprisal::bench {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

constexpr int64_t kLanes = HWY_LANES(float);
constexpr int kChains = 12;  // independent accumulators: latency times throughput, with reserve

float read(const float* data, int64_t count) {
  Vector sum[4] = {hn::Zero(Floats()), hn::Zero(Floats()), hn::Zero(Floats()), hn::Zero(Floats())};
  for (int64_t i = 0; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (int64_t line = 0; line < 4 * kLanes; line += 16) hwy::Prefetch(data + i + 1024 + line);
    for (int64_t j = 0; j < 4; ++j)
      sum[j] = hn::Add(sum[j], hn::Load(Floats(), data + i + j * kLanes));
  }
  return hn::GetLane(
      hn::SumOfLanes(Floats(), hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3]))));
}

// @param flops  out: those done
float multiply_add(int64_t rounds, int64_t& flops) {
  const Vector factor = hn::Set(Floats(), 0.999f);
  Vector sum[kChains];
  for (Vector& s : sum) s = factor;
  for (int64_t i = 0; i < rounds; ++i) {
    for (Vector& s : sum) s = hn::MulAdd(s, factor, factor);
  }
  flops = rounds * kChains * kLanes * 2;
  for (int i = 1; i < kChains; ++i) sum[0] = hn::Add(sum[0], sum[i]);
  return hn::GetLane(hn::SumOfLanes(Floats(), sum[0]));
}

constexpr Probe kProbe = {read, multiply_add};

}  // namespace HWY_NAMESPACE
}  // namespace surprisal::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#if HWY_ARCH_X86
HWY_PUSH_ATTRIBUTES("avx512f,avx512bf16")
namespace surprisal::bench {
namespace {

// Only to be called where the processor has these instructions.
float dot_products(int64_t rounds, int64_t& flops) {
  constexpr int kSums = 12;
  const auto factor = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f003f00));  // 0.5, 0.5
  __m512 sum[kSums];
  for (__m512& s : sum) s = _mm512_setzero_ps();
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512& s : sum) s = _mm512_dpbf16_ps(s, factor, factor);
  }
  flops = rounds * kSums * 16 * 4;
  for (int i = 1; i < kSums; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return _mm512_cvtss_f32(sum[0]);
}

}  // namespace
}  // namespace surprisal::bench
HWY_POP_ATTRIBUTES

HWY_PUSH_ATTRIBUTES("amx-tile,amx-bf16")
namespace surprisal::bench {
namespace {

// The same, and only after amx::available().
float tile_products(int64_t rounds, int64_t& flops) {
  constexpr int64_t kFlops = 16 * 16 * 32 * 2;  // of an instruction
  alignas(64) float sums[16 * 16];
  amx::configure(amx::kMaxRows);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < rounds; i += 32) {  // an instruction does 32 times what one above does
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  flops = (rounds + 31) / 32 * 4 * kFlops;
  return sums[0];
}

}  // namespace
}  // namespace surprisal::bench
HWY_POP_ATTRIBUTES
#endif

namespace surprisal::bench {
namespace {

Probe probe() {
#if HWY_TARGETS & HWY_AVX3
  if (cpu_path() >= CpuPath::kAvx512) return N_AVX3::kProbe;
#endif
#if HWY_TARGETS & HWY_AVX2
  if (cpu_path() == CpuPath::kAvx2) return N_AVX2::kProbe;
#endif
  return HWY_STATIC_DISPATCH(kProbe);
}

double best_seconds(ThreadTeam& team, const std::function<void(WorkShare)>& work) {
  using Clock = std::chrono::steady_clock;
  constexpr int kRuns = 8;
  double best = 1e30;
  for (int run = 0; run < kRuns; ++run) {
    const Clock::time_point start = Clock::now();
    team.run(work);
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace

Roof measure_roof(int threads) {
  constexpr int64_t kBytes = int64_t{256} << 20;  // several times any last-level cache share
  constexpr int64_t kRounds = 4'000'000;
  const Probe run = probe();
  ThreadTeam team(threads);
  std::vector<float> sink(static_cast<size_t>(threads) * 16);  // keeps the sums from being unused
  WeightArena arena(kBytes);
  const auto* const data = reinterpret_cast<float*>(arena.take(kBytes));
  std::fill_n(const_cast<float*>(data), kBytes / 4, 1.0f);
  const double read = best_seconds(team, [&](WorkShare share) {
    const int64_t lines = kBytes / 64, begin = share.begin(lines), end = share.end(lines);
    sink[static_cast<size_t>(share.rank) * 16] = run.read(data + begin * 16, (end - begin) * 16);
  });
  const auto rate = [&](float (*multiply_add)(int64_t, int64_t&)) {
    std::vector<int64_t> flops(static_cast<size_t>(threads) * 8);
    const double seconds = best_seconds(team, [&](WorkShare share) {
      const auto rank = static_cast<size_t>(share.rank);
      sink[rank * 16] += multiply_add(kRounds, flops[rank * 8]);
    });
    int64_t all = 0;
    for (const int64_t f : flops) all += f;
    return static_cast<double>(all) / seconds;
  };
  const double float32 = rate(run.multiply_add);
  double bfloat16 = float32;
#if HWY_ARCH_X86
  if (cpu_path() == CpuPath::kAvx512Bf16) bfloat16 = rate(dot_products);
  if (cpu_path() == CpuPath::kAmx) bfloat16 = rate(tile_products);
#endif
  return {static_cast<double>(kBytes) / read, float32, bfloat16};
}

}  // namespace surprisal::bench
#endif
