// Times prefill and greedy decoding of a model, attention statistics on or off. Reads jobs from
// standard input and answers each with a line of JSON, so that a script can take turns with other
// engines (compare_peers.py):
//
//   {"batch": 16, "prompt": 128, "new": 64, "statistics": true}
//     -> {"prefill_seconds": .., "decode_seconds": .., "first_tokens": [..],
//         "step_seconds": median, "peak_bytes": of the process so far}
//   {"batch": .., "prompt": .., "new": .., "alternate": true}: every other step with statistics
//     -> {.., "step_seconds": median with, "plain_step_seconds": median without}
//   {"roof": true}
//     -> {"bytes_per_second": .., "flops_per_second": .., "bfloat16_flops_per_second": ..}
//
//   echo '{"batch": 1, "prompt": 128, "new": 64}' | bench_decode MODEL --threads 2

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "lib/distribution.h"
#include "lib/json.h"
#include "models/cpu/cpu_path.h"
#include "models/model.h"
#include "tools/bench/roof.h"
#include "tools/program.h"

namespace surprisal {
namespace {

constexpr int64_t kPrefillTokens = 512;  // in one forward pass, as the experiments' engine does
constexpr size_t kFirstTokens = 8;       // shown, to see that engines agree

struct Job {
  int64_t batch, prompt, new_tokens;
  bool statistics, alternate;
};

double seconds_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Distinct prompts, the same in every engine: compare_peers.py has this formula too.
std::vector<TokenId> prompt_of(int64_t sequence, int64_t length, int64_t vocabulary) {
  std::vector<TokenId> tokens;
  for (int64_t i = 0; i < length; ++i)
    tokens.push_back(
        static_cast<TokenId>(100 + (i * 7919 + sequence * 104729) % (vocabulary - 100)));
  return tokens;
}

/// One job's sequences and the token each of them takes next.
class Decoding {
 public:
  Decoding(const Model& model, const Job& job)
      : model_(model),
        cache_(make_cache(model, job.batch * (job.prompt + job.new_tokens), job.batch)),
        request_{.attention_statistics = job.statistics},
        next_(static_cast<size_t>(job.batch)) {
    for (int64_t i = 0; i < job.batch; ++i) {
      sequences_.push_back(cache_.create());
      prompts_.push_back(prompt_of(i, job.prompt, model.config().vocab_size));
    }
    // The system hands out memory at the first touch, which is outside the times in every engine.
    const c10::Storage& memory = cache_.keys(0).storage();  // of all layers
    if (memory.device().is_cpu()) std::memset(memory.mutable_data(), 0, memory.nbytes());
  }

  void prefill() {
    for (size_t i = 0; i < sequences_.size(); ++i) {
      const std::span<const TokenId> prompt = prompts_[i];
      for (size_t begin = 0; begin < prompt.size(); begin += kPrefillTokens) {
        const ModelRow row{
            sequences_[i],
            prompt.subspan(begin, std::min<size_t>(kPrefillTokens, prompt.size() - begin))};
        choose(model_.forward({&row, 1}, cache_, request_), i);
      }
    }
  }

  void step(bool statistics) {
    request_.attention_statistics = statistics;
    std::vector<ModelRow> rows;
    for (size_t i = 0; i < sequences_.size(); ++i) rows.push_back({sequences_[i], {&next_[i], 1}});
    choose(model_.forward(rows, cache_, request_), 0);
  }

  TokenId next_of_first() const { return next_[0]; }

 private:
  /// As the engine does it: on the model's threads, since LibTorch's would go on spinning where
  /// those want to run.
  /// @param first  the sequence of the output's first row
  void choose(const StepOutput& output, size_t first) {
    const at::Tensor logits = output.logits.to(at::kCPU);
    const int64_t vocabulary = logits.size(1);
    model_.parallel(logits.size(0), [&](int64_t i) {
      const float* const row = logits.const_data_ptr<float>() + i * vocabulary;
      next_[first + static_cast<size_t>(i)] =
          top_logits({row, static_cast<size_t>(vocabulary)}, 1)[0].index;
    });
  }

  const Model& model_;
  KVCache cache_;
  ForwardRequest request_;
  std::vector<KVCache::SequenceId> sequences_;
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<TokenId> next_;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

Json run(const Model& model, const Job& job) {
  Decoding decoding(model, job);
  Json first_tokens = Json::array();
  const double prefill = seconds_of([&] { decoding.prefill(); });
  std::array<std::vector<double>, 2> steps;  // without and with statistics
  const double decode = seconds_of([&] {
    for (int64_t i = 0; i < job.new_tokens; ++i) {
      if (first_tokens.size() < kFirstTokens) first_tokens.push_back(decoding.next_of_first());
      const bool statistics = job.alternate ? i % 2 == 0 : job.statistics;
      steps[statistics].push_back(seconds_of([&] { decoding.step(statistics); }));
    }
  });
  Json result = {{"prefill_seconds", prefill},
                 {"decode_seconds", decode},
                 {"first_tokens", std::move(first_tokens)},
                 {"step_seconds", median(steps[job.alternate || job.statistics])},
                 {"peak_bytes", peak_bytes()}};
  if (job.alternate) result["plain_step_seconds"] = median(steps[false]);
  return result;
}

Json answer(const Json& line, const Model& model) {
  if (line.value("roof", false)) {
    const bench::Roof roof = bench::measure_roof(at::get_num_threads());
    return {{"bytes_per_second", roof.read_bytes_per_second},
            {"flops_per_second", roof.flops_per_second},
            {"bfloat16_flops_per_second", roof.bfloat16_flops_per_second}};
  }
  const Job job{line.value("batch", int64_t{1}), line.value("prompt", int64_t{128}),
                line.value("new", int64_t{64}), line.value("statistics", false),
                line.value("alternate", false)};
  if (job.batch < 1 || job.prompt < 1 || job.new_tokens < 0)
    throw Error(ErrorCode::kUsage, "a job's batch and prompt are at least 1: " + line.dump());
  return run(model, job);
}

}  // namespace
}  // namespace surprisal

int main(int argc, char** argv) {
  std::string folder;
  int threads = 0;
  surprisal::ModelOptions options{.dtype = "float32", .device = "cpu"};
  return surprisal::run_program(
      argc, argv, "Times prefill and greedy decoding; one job a line of standard input, as JSON.",
      [&](CLI::App& app) {
        app.add_option("model", folder, "Hugging Face model folder")->required();
        app.add_option("--threads", threads, "of the CPU; default: all");
        app.add_option("--device", options.device, "cpu, cuda, cuda:N, auto")
            ->capture_default_str();
        app.add_option("--dtype", options.dtype, "of the arithmetic")->capture_default_str();
        app.add_flag("--reference", options.reference, "the plain ATen implementation");
      },
      [&] {
        if (threads > 0) at::set_num_threads(threads);
        const auto model = surprisal::load_model(folder, options);
        surprisal::run(*model, {1, 16, 2, true, false});  // packs the weights, touches the memory
        for (std::string line; std::getline(std::cin, line);)
          std::cout << surprisal::answer(surprisal::parse_json(line, "standard input"), *model)
                    << std::endl;
        return 0;
      });
}
