// What a sampler costs on one row of 128,256 logits, one core: the statistics, chains for the first
// request that looks at a row and for each further one, and beside them the method of llama.cpp (a
// partial sort by 128 buckets) and torch.sort.
//
//   bench_samplers --benchmark_time_unit=us
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sort.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <random>

#include "samplers/chain.h"

namespace surprisal {
namespace {

constexpr size_t kVocabulary = 128'256;
constexpr size_t kKept = 40;

/// Logits spread like a language model's: a normal body and a few candidates above it.
const std::vector<float>& row() {
  static const std::vector<float> logits = [] {
    std::mt19937 random(0);
    std::normal_distribution<float> normal(0, 2);
    std::vector<float> values(kVocabulary);
    for (float& value : values) value = normal(random);
    for (int i = 0; i < 10; ++i) values[random() % kVocabulary] = 10 + normal(random);
    return values;
  }();
  return logits;
}

std::unique_ptr<Sampler> sampler_of(const char* yaml) {
  return create_sampler(builtin_samplers(), parse_yaml(yaml, "bench"), "bench", "bench", {},
                        nullptr);
}

constexpr const char* kChains[] = {
    "{type: chain}",
    "{type: chain, steps: [{temperature: 0.7}]}",
    "{type: chain, steps: [{min_p: 0.1}, {temperature: 1.5}]}",
    "{type: chain, steps: [{top_k: 40}, {temperature: 0.7}]}",
    "{type: chain, steps: [{top_p: 0.9}]}",
    "{type: chain, preset: llama}",
    "{type: chain, steps: [{temperature: 0.7}, {min_p: 0.1}]}",
    "{type: chain, steps: [{typical: 0.9}]}",
};

void statistics(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(distribution_statistics(row()));
}
BENCHMARK(statistics);

/// The statistics and a decision.
void first_request(benchmark::State& state) {
  const auto sampler = sampler_of(kChains[state.range(0)]);
  const auto own = sampler->start();
  uint32_t position = 0;
  for (auto _ : state) {
    const DistributionStatistics statistics = distribution_statistics(row());
    StepView view;
    view.logits = row();
    view.statistics = &statistics;
    benchmark::DoNotOptimize(sampler->decide(view, own.get(), Draws(1, position++)));
  }
  state.SetLabel(kChains[state.range(0)]);
}
BENCHMARK(first_request)->DenseRange(0, std::size(kChains) - 1);

/// A decision on a row whose statistics and order are known.
void further_request(benchmark::State& state) {
  const auto sampler = sampler_of(kChains[state.range(0)]);
  const auto own = sampler->start();
  const DistributionStatistics statistics = distribution_statistics(row());
  RowCache shared;
  uint32_t position = 0;
  for (auto _ : state) {
    StepView view;
    view.logits = row();
    view.statistics = &statistics;
    view.shared = &shared;
    benchmark::DoNotOptimize(sampler->decide(view, own.get(), Draws(1, position++)));
  }
  state.SetLabel(kChains[state.range(0)]);
}
BENCHMARK(further_request)->DenseRange(0, std::size(kChains) - 1);

void top_40(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(top_logits(row(), kKept));
}
BENCHMARK(top_40);

/// llama.cpp's method: count the logits into 128 buckets over [-10, 10], then sort those buckets
/// from above that hold the wanted number.
void bucketed_partial_sort_40(benchmark::State& state) {
  constexpr int kBuckets = 128;
  constexpr float kLow = -10, kScale = kBuckets / 20.0F;
  const auto bucket_of = [](float logit) {
    return static_cast<size_t>(
        std::clamp(static_cast<int>(kScale * (logit - kLow)), 0, kBuckets - 1));
  };
  for (auto _ : state) {
    std::array<size_t, kBuckets> counts{};
    for (const float logit : row()) ++counts[bucket_of(logit)];
    size_t lowest = kBuckets, held = 0;
    while (lowest > 0 && held < kKept) held += counts[--lowest];
    std::vector<RankedLogit> found;
    found.reserve(held);
    for (size_t i = 0; i < row().size(); ++i)
      if (bucket_of(row()[i]) >= lowest) found.push_back({static_cast<int32_t>(i), row()[i]});
    std::partial_sort(found.begin(), found.begin() + kKept, found.end(),
                      [](const RankedLogit& a, const RankedLogit& b) { return a.logit > b.logit; });
    benchmark::DoNotOptimize(found);
  }
}
BENCHMARK(bucketed_partial_sort_40);

void torch_sort(benchmark::State& state) {
  at::set_num_threads(1);
  const at::Tensor logits = at::from_blob(const_cast<float*>(row().data()),
                                          {static_cast<int64_t>(kVocabulary)}, at::kFloat);
  for (auto _ : state) benchmark::DoNotOptimize(at::sort(logits, 0, true));
}
BENCHMARK(torch_sort);

}  // namespace
}  // namespace surprisal

BENCHMARK_MAIN();
