// What a sampler costs on one row of 128,256 logits, one core: the statistics, chains for the first
// request that looks at a row, for each other setting of the same chain with the same draws, and
// for each repeat with draws of its own; beside them the method of llama.cpp (a partial sort by 128
// buckets) and torch.sort.
//
//   bench_samplers --benchmark_time_unit=us
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/sort.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <random>

#include "lib/top_logits.h"
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

/// A chain whose parameter @ is swept from `from` to `to`.
struct Family {
  const char* yaml;
  double from, to;
};
constexpr Family kFamilies[] = {
    {"{type: chain}", 0, 0},
    {"{type: chain, steps: [{temperature: @}]}", 0.5, 2},
    {"{type: chain, steps: [{temperature: 0.7}, {min_p: @}]}", 0.02, 0.2},
    {"{type: chain, steps: [{min_p: @}, {temperature: 1.5}]}", 0.02, 0.2},
    {"{type: chain, steps: [{top_k: @}, {temperature: 0.7}]}", 5, 67},
    {"{type: chain, steps: [{top_p: @}]}", 0.6, 0.99},
    {"{type: chain, steps: [{temperature: @}, {top_p: 0.9}]}", 0.5, 2},
    {"{type: chain, preset: llama, steps: [{top_k: 40}, {top_p: @}, {min_p: 0.05}, "
     "{temperature: 0.8}]}",
     0.6, 0.99},
    {"{type: chain, steps: [{typical: @}]}", 0.6, 0.99},
};
constexpr int kSettings = 32;

std::unique_ptr<Sampler> member(const Family& family, int number) {
  std::string yaml = family.yaml;
  if (const size_t place = yaml.find('@'); place != std::string::npos) {
    const double value = family.from + (family.to - family.from) * number / (kSettings - 1);
    yaml.replace(place, 1,
                 yaml.find("top_k: @") != std::string::npos
                     ? std::to_string(static_cast<int>(value))
                     : std::to_string(value));
  }
  return create_sampler(builtin_samplers(), parse_yaml(yaml, "bench"), "bench", "bench", {},
                        nullptr);
}

void statistics(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(distribution_statistics(row()));
}
BENCHMARK(statistics);

StepView view_of(const DistributionStatistics& statistics, RowCache* shared) {
  StepView view;
  view.logits = row();
  view.statistics = &statistics;
  view.shared = shared;
  return view;
}

/// The statistics and a decision.
void first_request(benchmark::State& state) {
  const Family& family = kFamilies[state.range(0)];
  const auto sampler = member(family, kSettings / 2);
  const auto own = sampler->start();
  uint32_t position = 0;
  for (auto _ : state) {
    const DistributionStatistics statistics = distribution_statistics(row());
    benchmark::DoNotOptimize(
        sampler->decide(view_of(statistics, nullptr), own.get(), Draws(1, position++)));
  }
  state.SetLabel(family.yaml);
}
BENCHMARK(first_request)->DenseRange(0, std::size(kFamilies) - 1);

/// Each of the 31 other settings on a row that one has looked at, as in a sweep.
void further_setting(benchmark::State& state) {
  const Family& family = kFamilies[state.range(0)];
  std::vector<std::unique_ptr<Sampler>> settings;
  for (int i = 0; i < kSettings; ++i) settings.push_back(member(family, i));
  const auto own = settings[0]->start();
  const DistributionStatistics statistics = distribution_statistics(row());
  uint32_t position = 0;
  for (auto _ : state) {
    state.PauseTiming();
    RowCache shared;
    const Draws draws(1, position++);
    settings[0]->decide(view_of(statistics, &shared), own.get(), draws);
    state.ResumeTiming();
    for (int i = 1; i < kSettings; ++i)
      benchmark::DoNotOptimize(
          settings[static_cast<size_t>(i)]->decide(view_of(statistics, &shared), own.get(), draws));
  }
  state.SetLabel(family.yaml);
  state.counters["each"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * (kSettings - 1),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(further_setting)->DenseRange(0, std::size(kFamilies) - 1);

/// The same setting with draws of its own, on a row whose statistics and order are known.
void further_repeat(benchmark::State& state) {
  const Family& family = kFamilies[state.range(0)];
  const auto sampler = member(family, kSettings / 2);
  const auto own = sampler->start();
  const DistributionStatistics statistics = distribution_statistics(row());
  RowCache shared;
  uint64_t key = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(
        sampler->decide(view_of(statistics, &shared), own.get(), Draws(key++, 7)));
  state.SetLabel(family.yaml);
}
BENCHMARK(further_repeat)->DenseRange(0, std::size(kFamilies) - 1);

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
