#include "experiments/walk.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace surprisal {

Walk::Walk(TokenNode& root, std::vector<TokenId> prompt, std::vector<std::string> stop_strings,
           const WalkSetting& setting)
    : setting_(setting),
      prompt_length_(static_cast<int64_t>(prompt.size())),
      node_(root),
      tokens_(std::move(prompt)),
      stop_strings_(std::move(stop_strings)),
      text_(*setting.tokenizer, stop_strings_) {}

StepView Walk::view(const Needs& needs) const {
  const Evaluation& evaluation = node_->evaluation;
  StepView view;
  view.logits = evaluation.logits;
  view.statistics = &evaluation.statistics;
  view.shared = &evaluation.shared;
  if (needs.attention) view.attention = &evaluation.attention;
  if (needs.padded_slots > 0) view.padded_attention = &evaluation.padded;
  view.tokens = tokens_;
  view.prompt_length = prompt_length_;
  return view;
}

void Walk::take(TokenId token, TokenSource source, const Decision& decision, int32_t attempt) {
  records_.push_back(record_of(token, source, decision));
  records_.back().attempt = attempt;
  if (!node_->trace) node_->trace = trace_node();
  nodes_.push_back(*node_->trace);
  nodes_.back().parent = static_cast<int32_t>(nodes_.size()) - 2;
  tokens_.push_back(token);
  stopped_ = text_.push(token, source);
  node_ = NodeLease(node_->tree->child(*node_, token));
}

std::vector<TokenRecord> Walk::take_back(int64_t count) {
  const auto kept = records_.end() - count;
  std::vector<TokenRecord> taken_back(kept, records_.end());
  records_.erase(kept, records_.end());
  nodes_.resize(records_.size());
  tokens_.resize(tokens_.size() - static_cast<size_t>(count));
  for (; count > 0; --count) node_ = NodeLease(*node_->parent);
  text_ = AnswerText(*setting_.tokenizer, stop_strings_);
  stopped_ = false;
  for (const TokenRecord& record : records_) text_.push(record.token_id, record.source);
  return taken_back;
}

void Walk::finish(GenerationResult& result) {
  stopped_ = text_.finish();
  result.response = text_.text();
  result.foreign = text_.foreign();
  result.tokens = std::move(records_);
  result.nodes = std::move(nodes_);
}

TokenRecord Walk::record_of(TokenId token, TokenSource source, const Decision& decision) const {
  const Evaluation& evaluation = node_->evaluation;
  const DistributionStatistics& statistics = evaluation.statistics;
  const bool sampled = source == TokenSource::kSampled || source == TokenSource::kBranch;
  const auto unless_unknown = [](double value, bool known) {
    return known ? static_cast<float>(value) : std::numeric_limits<float>::quiet_NaN();
  };
  TokenRecord record;
  record.position = static_cast<int32_t>(tokens_.size());
  record.token_id = token;
  record.node = static_cast<int32_t>(records_.size());
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
  record.rank = evaluation.shared.rank(evaluation.logits, token);
  record.sampling_logprob = unless_unknown(decision.sampling_logprob, sampled);
  record.kept = sampled ? static_cast<int32_t>(decision.kept) : 0;
  record.temperature = unless_unknown(decision.temperature, sampled);
  record.decision_entropy = static_cast<float>(decision.decision_entropy);
  record.decision_varentropy = static_cast<float>(decision.decision_varentropy);
  record.threshold_margin = static_cast<float>(decision.threshold_margin);
  const bool attention = setting_.trace.attention != TraceOptions::Attention::kNone;
  record.attention_entropy = unless_unknown(evaluation.means.entropy, attention);
  record.attention_varentropy = unless_unknown(evaluation.means.varentropy, attention);
  record.attention_agreement = unless_unknown(evaluation.means.agreement, attention);
  record.attention_sink = unless_unknown(evaluation.means.sink_mass, attention);
  return record;
}

NodeRecord Walk::trace_node() const {
  const Evaluation& evaluation = node_->evaluation;
  NodeRecord record;
  record.token_id = node_->parent == nullptr ? -1 : node_->token;
  if (setting_.trace.top_k > 0) {
    const auto wanted = static_cast<size_t>(setting_.trace.top_k);
    const auto likely = evaluation.shared.top(evaluation.logits, wanted);  // or more
    double mass = 0;
    for (const auto& [token, logit] : likely.first(std::min(wanted, likely.size()))) {
      const double logprob = static_cast<double>(logit) - evaluation.statistics.log_sum_exp;
      record.top_k_token_id.push_back(token);
      record.top_k_logprob.push_back(static_cast<float>(logprob));
      mass += std::exp(logprob);
    }
    record.tail_mass = static_cast<float>(std::max(0.0, 1 - mass));
  }
  if (setting_.trace.per_layer()) {
    const int64_t heads = setting_.config->num_attention_heads;
    for (int64_t layer = 0; layer < setting_.config->num_hidden_layers; ++layer) {
      double entropy = 0, varentropy = 0;
      for (int64_t head = 0; head < heads; ++head) {
        const float h = evaluation.attention.head(layer, head, HeadStatistic::kEntropy);
        const float v = evaluation.attention.head(layer, head, HeadStatistic::kVarentropy);
        if (setting_.trace.per_head()) {
          record.attention_entropy.push_back(h);
          record.attention_varentropy.push_back(v);
        }
        entropy += h;
        varentropy += v;
      }
      if (!setting_.trace.per_head()) {
        record.attention_entropy.push_back(
            static_cast<float>(entropy / static_cast<double>(heads)));
        record.attention_varentropy.push_back(
            static_cast<float>(varentropy / static_cast<double>(heads)));
      }
      record.attention_agreement.push_back(
          evaluation.attention.layer(layer, LayerStatistic::kAgreement));
    }
  }
  if (setting_.trace.maps()) record.maps_f16 = evaluation.maps_f16;
  if (setting_.trace.logits_f16)
    for (const float logit : evaluation.logits)
      record.logits_f16.push_back(c10::detail::fp16_ieee_from_fp32_value(logit));
  return record;
}

}  // namespace surprisal
