#include "experiments/engine.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <list>
#include <map>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "experiments/answer.h"
#include "experiments/cache_plan.h"
#include "experiments/remembered_logits.h"
#include "experiments/strategies/strategy.h"
#include "lib/error.h"
#include "models/logits_buffers.h"

namespace surprisal {
namespace {

/// A view of row `index` of a contiguous host tensor.
std::span<const float> row(const at::Tensor& tensor, int64_t index) {
  const int64_t width = tensor.numel() / tensor.size(0);
  return {tensor.const_data_ptr<float>() + index * width, static_cast<size_t>(width)};
}

std::vector<float> copy_row(const at::Tensor& tensor, int64_t index) {
  const auto view = row(tensor, index);
  return {view.begin(), view.end()};
}

/// The maps of row `index`'s last token in half precision, [L, H, S]. Not for many threads at once:
/// LibTorch copies with threads of its own.
std::vector<uint16_t> last_maps(const std::vector<std::vector<at::Tensor>>& maps, size_t index) {
  std::vector<uint16_t> values;
  for (const std::vector<at::Tensor>& of_layer : maps) {
    const at::Tensor& map = of_layer[index];  // [H, T, S]
    const at::Tensor last = map.select(1, map.size(1) - 1).to(at::kCPU, at::kFloat).contiguous();
    const auto* data = last.const_data_ptr<float>();
    for (int64_t k = 0; k < last.numel(); ++k)
      values.push_back(c10::detail::fp16_ieee_from_fp32_value(data[k]));
  }
  return values;
}

at::Tensor to_host(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kCPU, at::kFloat).contiguous() : tensor;
}

}  // namespace

class Engine::Impl {
 public:
  Impl(const Model& model, const Tokenizer& tokenizer, EngineOptions options)
      : model_(model),
        options_(options),
        setting_{&tokenizer, &model.config(), options.trace},
        plan_(model, options.memory_bytes, options.sharing),
        logits_buffers_(model.device()),
        remembered_(options.logits_bytes) {
    if (options_.batch < 1 || options_.prefill_chunk < 1)
      throw Error(ErrorCode::kConfig, "engine: batch and prefill_chunk must be at least 1");
  }

  void run(const std::function<std::optional<GenerationRequest>()>& next,
           const std::function<void(GenerationResult)>& finished,
           const std::function<bool()>& interrupted, const TokenCallback& on_token) {
    on_token_ = on_token;
    try {
      work(next, finished, interrupted);
    } catch (...) {
      abandon();
      throw;
    }
    jobs_.clear();
    remembered_.clear();
    for (auto& [key, tree] : trees_) plan_.release(*tree);
    trees_.clear();
  }

  const EngineCounters& counters() const { return counters_; }

 private:
  /// A prompt, whether a gap follows it, and with sharing off the number of the request, so that
  /// every one has its own tree.
  using TreeKey = std::tuple<std::vector<TokenId>, bool, int64_t>;

  void work(const std::function<std::optional<GenerationRequest>()>& next,
            const std::function<void(GenerationResult)>& finished,
            const std::function<bool()>& interrupted) {
    upcoming_ = next();
    while (!interrupted()) {
      admit(next);
      for (auto job = jobs_.begin(); job != jobs_.end();) {
        (*job)->advance();
        if ((*job)->finished()) {
          finished((*job)->take_result());
          job = retire(job);
        } else {
          ++job;
        }
      }
      remembered_.shrink();
      if (jobs_.empty() && !upcoming_) break;
      if (!jobs_.empty()) evaluate_frontier();
    }
  }

  /// Leaves the engine as it was made, whatever went wrong; allocates nothing.
  void abandon() noexcept {
    jobs_.clear();
    remembered_.clear();
    upcoming_.reset();
    plan_.clear();
    trees_.clear();
  }

  /// Takes in requests until the frontier fills the batch; those with a known prompt always, since
  /// they share what is computed anyway.
  void admit(const std::function<std::optional<GenerationRequest>()>& next) {
    while (upcoming_) {
      check(*upcoming_);
      const bool gap = upcoming_->sampler->needs().position_gap;
      TreeKey key = {upcoming_->prompt, gap, options_.sharing ? 0 : ++unshared_};
      auto tree = trees_.find(key);
      if (tree == trees_.end()) {
        if (static_cast<int64_t>(frontier().size()) >= options_.batch) break;
        tree = trees_.emplace(std::move(key), std::make_unique<TokenTree>(upcoming_->prompt, gap))
                   .first;
      }
      jobs_.push_back(start(std::move(*upcoming_), *tree->second));
      upcoming_ = next();
    }
  }

  std::unique_ptr<Job> start(GenerationRequest request, TokenTree& tree) const {
    if (request.strategy != nullptr)
      return request.strategy->start(std::move(request), tree, setting_, on_token_);
    return std::make_unique<Answer>(std::move(request), tree, setting_, on_token_);
  }

  void check(const GenerationRequest& request) const {
    const int64_t room = model_.config().max_position_embeddings;
    if (request.prompt.empty())
      throw Error(ErrorCode::kConfig, "a prompt must have at least one token");
    if (static_cast<int64_t>(request.prompt.size()) >= room)
      throw Error(ErrorCode::kConfig, "a prompt of " + std::to_string(request.prompt.size()) +
                                          " tokens leaves no room for an answer in the model's "
                                          "context of " +
                                          std::to_string(room) + " tokens");
    if (request.max_new_tokens < 1)
      throw Error(ErrorCode::kConfig, "max_new_tokens must be at least 1");
  }

  std::list<std::unique_ptr<Job>>::iterator retire(std::list<std::unique_ptr<Job>>::iterator job) {
    TokenTree& tree = (*job)->tree();
    if (tree.requests == 0) {
      remembered_.forget(tree);
      plan_.release(tree);
    }
    const bool last = tree.requests == 0;
    const auto next = jobs_.erase(job);  // its cursors stand on the tree
    if (last) std::erase_if(trees_, [&](const auto& entry) { return entry.second.get() == &tree; });
    return next;
  }

  /// The distinct contexts that jobs wait for, in the order the jobs came.
  std::vector<TokenNode*> frontier() {
    std::vector<TokenNode*> nodes;
    std::unordered_set<TokenNode*> seen;
    for (const auto& job : jobs_)
      for (TokenNode* node : job->waiting_at())
        if (seen.insert(node).second) nodes.push_back(node);
    return nodes;
  }

  /// One forward pass over as many waiting contexts as the batch and the memory allow.
  void evaluate_frontier() {
    ++pass_;
    const std::vector<TokenNode*> waiting = frontier();
    for (TokenNode* node : waiting) node->wanted_in = pass_;
    plan_.begin_pass(pass_);
    std::vector<TokenNode*> chosen;
    std::vector<std::vector<TokenId>> fed;  // per row
    int64_t prefill_left = options_.prefill_chunk;
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (static_cast<int64_t>(chosen.size()) == options_.batch) break;
      TokenNode& node = *waiting[i];
      if (plan_.worth_waiting(node, chosen)) continue;
      const auto younger = std::span(waiting).subspan(i + 1);
      std::vector<TokenId> tokens =
          plan_.prepare(node, std::max<int64_t>(1, prefill_left), younger);
      if (tokens.empty()) continue;  // no memory now: it waits for older ones
      if (tokens.size() > 1) prefill_left -= static_cast<int64_t>(tokens.size());
      node.last_used = pass_;
      chosen.push_back(&node);
      fed.push_back(std::move(tokens));
    }
    if (chosen.empty())
      throw Error(ErrorCode::kConfig,
                  "engine: the cache holds " + std::to_string(plan_.capacity_tokens()) +
                      " tokens, too few for a single answer of " +
                      std::to_string(waiting.front()->end) + "; raise engine.memory_bytes");

    std::vector<ModelRow> rows;
    for (size_t i = 0; i < chosen.size(); ++i) {
      ModelRow row = {chosen[i]->sequence, fed[i]};
      const TokenTree& tree = *chosen[i]->tree;
      if (tree.position_gap()) row.gap_at = static_cast<int64_t>(tree.prompt().size());
      rows.push_back(row);
    }
    ForwardRequest request;
    for (const auto& job : jobs_) {
      const Needs needs = job->needs();
      request.attention_statistics = request.attention_statistics || needs.attention;
      request.padded_slots = std::max(request.padded_slots, needs.padded_slots);
    }
    if (options_.trace.maps())
      for (int64_t layer = 0; layer < model_.config().num_hidden_layers; ++layer)
        request.map_layers.push_back(layer);
    const StepOutput output = model_.forward(rows, plan_.cache(), request);
    ++counters_.forward_passes;
    counters_.peak_rows = std::max(counters_.peak_rows, static_cast<int64_t>(rows.size()));
    counters_.peak_cache_bytes = std::max(counters_.peak_cache_bytes, plan_.used_bytes());
    for (const auto& tokens : fed) counters_.computed_tokens += static_cast<int64_t>(tokens.size());
    store(chosen, request, output);
  }

  void store(std::span<TokenNode* const> chosen, const ForwardRequest& request,
             const StepOutput& output) {
    const ModelConfig& config = model_.config();
    const at::Tensor logits = logits_buffers_.on_host(output.logits);  // [B, V]
    const at::Tensor per_head = to_host(output.attention.per_head);    // [B, L, H, 6]
    const at::Tensor per_layer = to_host(output.attention.per_layer);  // [B, L, 3]
    const at::Tensor padded = to_host(output.attention.padded_head);   // [B, H, 2]
    const at::Tensor deviation = to_host(output.attention.padded_mean_abs_deviation);  // [B]
    std::vector<TokenNode*> nodes(chosen.begin(), chosen.end());  // null: nobody waits there
    for (size_t i = 0; i < chosen.size(); ++i) {
      TokenNode& node = *chosen[i];
      if (plan_.cache().length(node.sequence) < node.end) {  // a prompt not yet read whole
        nodes[i] = nullptr;
        continue;
      }
      if (!request.map_layers.empty())
        node.evaluation.maps_f16 = last_maps(output.attention.maps, i);
    }
    remembered_.add(logits, nodes);
    model_.parallel(static_cast<int64_t>(nodes.size()), [&](int64_t b) {
      const auto i = static_cast<size_t>(b);
      if (nodes[i] == nullptr) return;
      Evaluation& evaluation = nodes[i]->evaluation;
      evaluation.statistics = distribution_statistics(evaluation.logits);
      evaluation.shared = {};
      evaluation.shared.top(evaluation.logits, 1);  // every token's rank is asked for
      if (request.attention_statistics) {
        evaluation.has_attention = true;
        evaluation.attention_per_head = copy_row(per_head, b);
        evaluation.attention_per_layer = copy_row(per_layer, b);
        evaluation.attention = {.layers = config.num_hidden_layers,
                                .heads = config.num_attention_heads,
                                .valid_length = output.attention.valid_lengths[i],
                                .per_head = evaluation.attention_per_head,
                                .per_layer = evaluation.attention_per_layer};
        evaluation.means = attention_means(evaluation.attention);
      }
      if (request.padded_slots > 0) {
        evaluation.padded_slots = request.padded_slots;
        evaluation.padded = {};
        evaluation.padded.slots = request.padded_slots;
        const auto heads = row(padded, b);
        for (size_t h = 0; h < heads.size(); h += 2) {
          evaluation.padded.entropy.push_back(heads[h]);
          evaluation.padded.mean_abs_score.push_back(heads[h + 1]);
        }
        evaluation.padded.mean_abs_deviation = deviation.const_data_ptr<float>()[i];
      }
    });
  }

  const Model& model_;
  EngineOptions options_;
  WalkSetting setting_;
  CachePlan plan_;
  TokenCallback on_token_;
  std::optional<GenerationRequest> upcoming_;
  std::map<TreeKey, std::unique_ptr<TokenTree>> trees_;
  std::list<std::unique_ptr<Job>> jobs_;  // in the order they came
  LogitsBuffers logits_buffers_;
  RememberedLogits remembered_;
  EngineCounters counters_;
  int64_t unshared_ = 0;
  uint64_t pass_ = 0;
};

Engine::Engine(const Model& model, const Tokenizer& tokenizer, EngineOptions options)
    : impl_(std::make_unique<Impl>(model, tokenizer, options)) {}
Engine::~Engine() = default;

void Engine::run(const std::function<std::optional<GenerationRequest>()>& next,
                 const std::function<void(GenerationResult)>& finished,
                 const std::function<bool()>& interrupted,
                 const std::function<void(int64_t, TokenId, const TokenRecord&)>& on_token) {
  impl_->run(next, finished, interrupted, on_token);
}

const EngineCounters& Engine::counters() const {
  return impl_->counters();
}

}  // namespace surprisal
