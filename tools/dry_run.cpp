#include "tools/dry_run.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "experiments/run_directory.h"
#include "experiments/runner.h"
#include "tools/progress.h"

namespace surprisal {
namespace {

constexpr int64_t kDecodeSteps = 8;

/// Tokens a second of one model.
struct Speed {
  double prefill = 0, decode = 0;
};

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Reads one prompt, then extends `batch` copies of it by a few tokens.
Speed measure(const PlannedModel& planned, const Prompt& prompt, int64_t batch) {
  const std::unique_ptr<Model> model = load_model(planned.spec.path, planned.spec.options);
  const auto length = static_cast<int64_t>(prompt.tokens.size());
  KVCache cache = make_cache(*model, batch * (length + kDecodeSteps + 1), batch + 1);
  const auto run = [&](const std::vector<ModelRow>& rows) {
    for (const ModelRow& row : rows)
      if (!cache.reserve(row.sequence, static_cast<int64_t>(row.tokens.size())))
        throw Error(ErrorCode::kInternal, "the cache of a dry run is too small");
    model->forward(rows, cache, {});
  };
  const KVCache::SequenceId before = cache.create();
  run({{before, prompt.tokens}});  // the first pass of a model lays its memory out
  cache.release(before);
  const KVCache::SequenceId first = cache.create();
  const double prefill = seconds_of([&] { run({{first, prompt.tokens}}); });
  std::vector<ModelRow> rows;
  const std::vector<TokenId> next = {prompt.tokens.back()};
  for (int64_t b = 0; b < batch; ++b) rows.push_back({cache.fork(first), next});
  run(rows);  // the first step copies the shared block
  const double decode = seconds_of([&] {
    for (int64_t step = 0; step + 1 < kDecodeSteps; ++step) run(rows);
  });
  return {static_cast<double>(length) / prefill,
          static_cast<double>(batch * (kDecodeSteps - 1)) / decode};
}

}  // namespace

void print_dry_run(const Plan& plan, std::ostream& out) {
  out << "cell          model, task, sampler\n";
  for (const Cell& cell : plan.cells) {
    out << cell.id << "  " << plan.models[cell.model].name() << ", "
        << plan.tasks[cell.task].spec.name << ", " << cell.sampler_name;
    if (!cell.swept.empty()) out << " (" << setting_text(cell.swept) << ")";
    out << "\n";
  }
  double seconds = 0;
  int64_t prompts = 0, prompt_tokens = 0, answer_tokens = 0;
  std::string speeds;
  for (size_t m = 0; m < plan.models.size(); ++m) {
    int64_t to_read = 0, to_write = 0;
    const Prompt* longest = nullptr;
    for (const auto& [key, list] : plan.prompts) {
      if (key.first != m) continue;
      prompts += static_cast<int64_t>(list.size());
      for (const Prompt& prompt : list) {
        to_read += static_cast<int64_t>(prompt.tokens.size());
        if (longest == nullptr || prompt.tokens.size() > longest->tokens.size()) longest = &prompt;
      }
    }
    for (const Cell& cell : plan.cells)
      if (cell.model == m)
        to_write += cell.max_new_tokens * plan.config.repeats *
                    (cell.strategy ? cell.strategy->answers() : 1) *
                    static_cast<int64_t>(plan.tasks[cell.task].problems.size());
    const int64_t batch =
        plan.config.engine.batch > 0 ? plan.config.engine.batch : automatic_batch(plan.models[m]);
    const Speed speed = measure(plan.models[m], *longest, batch);
    seconds +=
        static_cast<double>(to_read) / speed.prefill + static_cast<double>(to_write) / speed.decode;
    prompt_tokens += to_read;
    answer_tokens += to_write;
    char text[160];
    std::snprintf(
        text, sizeof text, "  %s: %.0f prompt tokens/s, %.0f answer tokens/s in %d rows\n",
        plan.models[m].name().c_str(), speed.prefill, speed.decode, static_cast<int>(batch));
    speeds += text;
  }
  out << plan.cells.size() << " cells, " << prompts << " prompts, " << plan.samples()
      << " answers\n"
      << prompt_tokens << " prompt tokens, at most " << answer_tokens
      << " answer tokens (every answer as long as max_new_tokens)\n"
      << "at most about " << duration_text(seconds)
      << ": those tokens at the speed measured just now, with nothing shared between samplers:\n"
      << speeds;
  double alpha = 0.05;
  if (const auto& analysis = plan.config.analysis) {
    const size_t tests = check_names(*analysis, plan.declarable_cells(), plan.config.file);
    out << tests << " declared tests share alpha " << analysis->alpha << "\n";
    alpha = analysis->alpha / static_cast<double>(std::max<size_t>(tests, 1));
  }
  for (const PlannedTask& task : plan.tasks)
    out << task.spec.name << ": "
        << detectable_effects_text(static_cast<int64_t>(task.problems.size()), alpha);
  out << "to " << RunDirectory::of(plan.config).path() << "\n";
}

}  // namespace surprisal
