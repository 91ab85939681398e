#include "tools/bench/decoding.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>

#include "lib/error.h"
#include "lib/top_logits.h"
#include "models/logits_buffers.h"

namespace surprisal::bench {
namespace {

constexpr int64_t kPrefillTokens = 512;  // in one forward pass, as the experiments' engine does
constexpr size_t kFirstTokens = 8;

double seconds_of(const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Distinct prompts, the same in every engine: peer_workers.py has this formula too.
std::vector<TokenId> prompt_of(int64_t sequence, int64_t length, int64_t vocabulary) {
  std::vector<TokenId> tokens;
  const int64_t least = std::min<int64_t>(100, vocabulary - 1);
  for (int64_t i = 0; i < length; ++i)
    tokens.push_back(
        static_cast<TokenId>(least + (i * 7919 + sequence * 104729) % (vocabulary - least)));
  return tokens;
}

/// One job's sequences and the token each of them takes next.
class Decoding {
 public:
  Decoding(const Model& model, const DecodingJob& job)
      : model_(model),
        cache_(make_cache(model, job.batch * (job.prompt + job.decode), job.batch)),
        logits_buffers_(model.device()),
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
    const at::Tensor logits = logits_buffers_.on_host(output.logits);
    const int64_t vocabulary = logits.size(1);
    model_.parallel(logits.size(0), [&](int64_t i) {
      const float* const row = logits.const_data_ptr<float>() + i * vocabulary;
      next_[first + static_cast<size_t>(i)] =
          top_logits({row, static_cast<size_t>(vocabulary)}, 1)[0].index;
    });
  }

  const Model& model_;
  KVCache cache_;
  LogitsBuffers logits_buffers_;
  ForwardRequest request_;
  std::vector<KVCache::SequenceId> sequences_;
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<TokenId> next_;
};

/// What this share of the values are below; 0 of none.
double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = static_cast<ptrdiff_t>(static_cast<double>(values.size()) * share);
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return values[static_cast<size_t>(rank)];
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

StepWork work_of_step(const Model& model, const DecodingJob& job) {
  const ModelConfig& config = model.config();
  const int64_t query = config.num_attention_heads * config.head_dim;
  const int64_t key = config.num_key_value_heads * config.head_dim;
  const int64_t layer = config.hidden_size * (2 * query + 2 * key + 3 * config.intermediate_size);
  const auto layers = static_cast<double>(config.num_hidden_layers);
  const double weights = layers * static_cast<double>(layer) +
                         static_cast<double>(config.vocab_size * config.hidden_size);
  const auto batch = static_cast<double>(job.batch);
  const double context = static_cast<double>(job.prompt) + static_cast<double>(job.decode) / 2;
  const double token_bytes =
      static_cast<double>(KVCache::bytes_per_block(config, model.cache_dtype())) /
      KVCache::kBlockTokens;
  return {.product_flops = 2 * weights * batch,
          .attention_flops = 4 * context * static_cast<double>(query) * layers * batch,
          .bytes = static_cast<double>(model.weight_bytes()) + batch * context * token_bytes};
}

}  // namespace

DecodingResult decode(const Model& model, const DecodingJob& job) {
  Decoding decoding(model, job);
  std::array<std::vector<double>, 2> steps;  // without and with statistics
  DecodingResult result{};
  result.prefill_seconds = seconds_of([&] { decoding.prefill(); });
  result.decode_seconds = seconds_of([&] {
    for (int64_t i = 0; i < job.decode; ++i) {
      if (result.first_tokens.size() < kFirstTokens)
        result.first_tokens.push_back(decoding.next_of_first());
      const bool statistics = job.alternate ? i % 2 == 0 : job.statistics;
      steps[statistics].push_back(seconds_of([&] { decoding.step(statistics); }));
    }
  });
  const std::vector<double>& asked = steps[job.alternate || job.statistics];
  result.step_seconds = quantile(asked, 0.5);
  result.fast_step_seconds = quantile(asked, 0.1);
  if (job.alternate) result.plain_step_seconds = quantile(steps[false], 0.5);
  result.work = work_of_step(model, job);
  result.weight_bytes = model.weight_bytes();
  result.cache_bytes = job.batch * KVCache::blocks_for(job.prompt + job.decode) *
                       KVCache::bytes_per_block(model.config(), model.cache_dtype());
  return result;
}

DecodingJob decoding_job(const Json& json) {
  DecodingJob job;
  job.batch = json.value("batch", job.batch);
  job.prompt = json.value("prompt", job.prompt);
  job.decode = json.value("decode", job.decode);
  job.statistics = json.value("statistics", job.statistics);
  job.alternate = json.value("alternate", job.alternate);
  if (job.batch < 1 || job.prompt < 1 || job.decode < 0) {
    throw Error(ErrorCode::kUsage,
                "a job's batch and prompt are at least 1, decode at least 0: " + json.dump());
  }
  return job;
}

Json to_json(const DecodingResult& result) {
  return {{"prefill_seconds", result.prefill_seconds},
          {"decode_seconds", result.decode_seconds},
          {"step_seconds", result.step_seconds},
          {"plain_step_seconds", result.plain_step_seconds},
          {"fast_step_seconds", result.fast_step_seconds},
          {"first_tokens", result.first_tokens},
          {"work",
           {{"product_flops", result.work.product_flops},
            {"attention_flops", result.work.attention_flops},
            {"bytes", result.work.bytes}}},
          {"weight_bytes", result.weight_bytes},
          {"cache_bytes", result.cache_bytes},
          {"peak_bytes", peak_bytes()}};
}

}  // namespace surprisal::bench
