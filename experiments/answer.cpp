#include "experiments/answer.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/cost.h"
#include "lib/error.h"

namespace surprisal {
namespace {

/// Number of tokens the model prefers to `token`; among equals the lower id comes first.
int32_t rank_of(std::span<const float> logits, TokenId token) {
  const auto id = static_cast<size_t>(token);
  const float own = logits[id];
  int32_t rank = 0;
  for (size_t i = 0; i < id; ++i) rank += logits[i] >= own;
  for (size_t i = id + 1; i < logits.size(); ++i) rank += logits[i] > own;
  return rank;
}

/// The k most probable tokens, most probable first, the lower id first among equals.
std::vector<TokenId> top_tokens(std::span<const float> logits, int64_t k) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto middle = ids.begin() + std::min<int64_t>(k, static_cast<int64_t>(ids.size()));
  std::partial_sort(ids.begin(), middle, ids.end(), [&](TokenId a, TokenId b) {
    const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
    return la != lb ? la > lb : a < b;
  });
  ids.erase(middle, ids.end());
  return ids;
}

}  // namespace

Answer::Answer(GenerationRequest request, TokenTree& tree, const Tokenizer& tokenizer,
               const ModelConfig& config, const TraceOptions& trace, const TokenCallback& on_token)
    : request_(std::move(request)),
      config_(&config),
      trace_(trace),
      on_token_(&on_token),
      node_(&tree.root()),
      tokens_(request_.prompt),
      state_(request_.sampler->start()),
      text_(tokenizer, request_.stop_strings) {
  ++tree.requests;
  ++node_->waiting;
  result_.id = request_.id;
  result_.prompt_tokens = static_cast<int64_t>(tokens_.size());
}

Needs Answer::needs() const {
  Needs needs = request_.sampler->needs();
  needs.attention = needs.attention || trace_.attention != TraceOptions::Attention::kNone;
  return needs;
}

StepView Answer::view() const {
  const Evaluation& evaluation = node_->evaluation;
  StepView view;
  view.logits = evaluation.logits;
  view.statistics = &evaluation.statistics;
  if (evaluation.has_attention) view.attention = &evaluation.attention;
  if (evaluation.padded_slots > 0) view.padded_attention = &evaluation.padded;
  view.tokens = tokens_;
  view.prompt_length = result_.prompt_tokens;
  view.remaining_tokens = request_.max_new_tokens - result_.generated_tokens;
  return view;
}

void Answer::step() {
  if (!injecting_.empty()) {
    const TokenId token = injecting_.front();
    injecting_.pop_front();
    append(token, TokenSource::kInjected, injecting_decision_);
    return;
  }
  const Draws draws(request_.draws_key, static_cast<uint32_t>(tokens_.size()), request_.path);
  carry_out(request_.sampler->decide(view(), state_.get(), draws));
}

void Answer::carry_out(const Decision& decision) {
  if (const auto* emit = std::get_if<Emit>(&decision.action)) {
    if (emit->token < 0 || emit->token >= static_cast<TokenId>(node_->evaluation.logits.size()))
      throw Error(ErrorCode::kInternal, "a sampler chose token " + std::to_string(emit->token) +
                                            " of a vocabulary of " +
                                            std::to_string(node_->evaluation.logits.size()));
    if (std::ranges::count(request_.stop_tokens, emit->token) > 0)
      finish(StopReason::kEndOfText);
    else
      append(emit->token, TokenSource::kSampled, decision);
  } else if (const auto* inject = std::get_if<Inject>(&decision.action)) {
    if (inject->tokens.empty()) throw Error(ErrorCode::kInternal, "a sampler injected no token");
    ++result_.interventions;
    result_.events.push_back(
        {static_cast<int32_t>(tokens_.size()), EventKind::kThink, inject->text});
    injecting_.assign(inject->tokens.begin(), inject->tokens.end());
    injecting_decision_ = decision;
    step();
  } else if (const auto* stop = std::get_if<Stop>(&decision.action)) {
    result_.events.push_back(
        {static_cast<int32_t>(tokens_.size()), EventKind::kStop, stop->reason});
    finish(StopReason::kSampler);
  } else {
    throw Error(ErrorCode::kUnsupported,
                "this engine does not carry out the sampler's decision (branch, rewind, ask or "
                "retrieve); choose another action for that state");
  }
}

void Answer::append(TokenId token, TokenSource source, const Decision& decision) {
  const TokenRecord record = record_of(token, source, decision);
  result_.tokens.push_back(record);
  if (!node_->trace) node_->trace = trace_node();
  result_.nodes.push_back(*node_->trace);
  result_.nodes.back().parent = record.node - 1;
  tokens_.push_back(token);
  request_.sampler->observe(token, source, state_.get());
  ++result_.generated_tokens;
  if (source == TokenSource::kInjected) ++result_.injected_tokens;
  if (*on_token_) (*on_token_)(request_.id, token, record);

  if (text_.push(token, source)) return finish(StopReason::kStopString);
  if (result_.generated_tokens >= request_.max_new_tokens) return finish(StopReason::kLength);
  if (static_cast<int64_t>(tokens_.size()) >= config_->max_position_embeddings)
    return finish(StopReason::kContext);

  --node_->waiting;
  node_ = &node_->tree->child(*node_, token);
  ++node_->waiting;
}

void Answer::finish(StopReason reason) {
  if (text_.finish() && reason == StopReason::kLength) reason = StopReason::kStopString;
  result_.stop_reason = reason;
  result_.response = text_.text();
  result_.foreign = text_.foreign();
  // The cursor's node is the last whose tokens the model had to process.
  const int64_t answer_steps = node_->end - result_.prompt_tokens;
  result_.cost.token_evaluations = node_->end;
  result_.cost.forward_passes = 1 + answer_steps;
  result_.cost.flops = forward_flops(*config_, 0, node_->end, 1 + answer_steps);
  --node_->waiting;
  --node_->tree->requests;
  finished_ = true;
}

GenerationResult Answer::take_result() {
  return std::move(result_);
}

TokenRecord Answer::record_of(TokenId token, TokenSource source, const Decision& decision) const {
  const Evaluation& evaluation = node_->evaluation;
  const DistributionStatistics& statistics = evaluation.statistics;
  const bool sampled = source == TokenSource::kSampled;
  const auto unless_unknown = [](double value, bool known) {
    return known ? static_cast<float>(value) : std::numeric_limits<float>::quiet_NaN();
  };
  TokenRecord record;
  record.position = static_cast<int32_t>(tokens_.size());
  record.token_id = token;
  record.node = static_cast<int32_t>(result_.tokens.size());
  record.source = source;
  record.state = decision.state;
  record.action = decision.kind;
  record.gate = decision.gate;
  record.entropy = static_cast<float>(statistics.entropy);
  record.varentropy = static_cast<float>(statistics.varentropy);
  record.max_probability = static_cast<float>(statistics.max_probability);
  record.second_probability = static_cast<float>(statistics.second_probability);
  record.logprob = static_cast<float>(
      static_cast<double>(evaluation.logits[static_cast<size_t>(token)]) - statistics.log_sum_exp);
  record.rank = rank_of(evaluation.logits, token);
  record.sampling_logprob = unless_unknown(decision.sampling_logprob, sampled);
  record.kept = sampled ? static_cast<int32_t>(decision.kept) : 0;
  record.temperature = unless_unknown(decision.temperature, sampled);
  record.decision_entropy = static_cast<float>(decision.decision_entropy);
  record.decision_varentropy = static_cast<float>(decision.decision_varentropy);
  record.threshold_margin = static_cast<float>(decision.threshold_margin);
  const bool attention = evaluation.has_attention;
  record.attention_entropy = unless_unknown(evaluation.means.entropy, attention);
  record.attention_varentropy = unless_unknown(evaluation.means.varentropy, attention);
  record.attention_agreement = unless_unknown(evaluation.means.agreement, attention);
  record.attention_sink = unless_unknown(evaluation.means.sink_mass, attention);
  return record;
}

NodeRecord Answer::trace_node() const {
  const Evaluation& evaluation = node_->evaluation;
  NodeRecord record;
  record.token_id = node_->parent == nullptr ? -1 : node_->token;
  if (trace_.top_k > 0) {
    record.top_k_token_id = top_tokens(evaluation.logits, trace_.top_k);
    double mass = 0;
    for (const TokenId token : record.top_k_token_id) {
      const double logprob = static_cast<double>(evaluation.logits[static_cast<size_t>(token)]) -
                             evaluation.statistics.log_sum_exp;
      record.top_k_logprob.push_back(static_cast<float>(logprob));
      mass += std::exp(logprob);
    }
    record.tail_mass = static_cast<float>(std::max(0.0, 1 - mass));
  }
  using Attention = TraceOptions::Attention;
  if (evaluation.has_attention &&
      (trace_.attention == Attention::kLayers || trace_.attention == Attention::kHeads)) {
    const int64_t heads = config_->num_attention_heads;
    for (int64_t layer = 0; layer < config_->num_hidden_layers; ++layer) {
      double entropy = 0, varentropy = 0;
      for (int64_t head = 0; head < heads; ++head) {
        const float h = evaluation.attention.head(layer, head, HeadStatistic::kEntropy);
        const float v = evaluation.attention.head(layer, head, HeadStatistic::kVarentropy);
        if (trace_.attention == Attention::kHeads) {
          record.attention_entropy.push_back(h);
          record.attention_varentropy.push_back(v);
        }
        entropy += h;
        varentropy += v;
      }
      if (trace_.attention == Attention::kLayers) {
        record.attention_entropy.push_back(
            static_cast<float>(entropy / static_cast<double>(heads)));
        record.attention_varentropy.push_back(
            static_cast<float>(varentropy / static_cast<double>(heads)));
      }
      record.attention_agreement.push_back(
          evaluation.attention.layer(layer, LayerStatistic::kAgreement));
    }
  }
  if (trace_.logits_f16)
    for (const float logit : evaluation.logits)
      record.logits_f16.push_back(c10::detail::fp16_ieee_from_fp32_value(logit));
  return record;
}

}  // namespace surprisal
