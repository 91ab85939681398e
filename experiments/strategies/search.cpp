#include "experiments/strategies/search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lib/json.h"

namespace surprisal {

double Hypothesis::score(double length_exponent) const {
  return scored == 0 ? 0 : logprob / std::pow(static_cast<double>(scored), length_exponent);
}

Search::Search(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
               const TokenCallback& on_token)
    : request_(std::move(request)),
      ledger_(*setting.config),
      tree_(&tree),
      setting_(setting),
      on_token_(&on_token),
      needs_(request_.sampler->needs()) {
  ++tree_->requests;
  needs_.attention = needs_.attention || setting_.trace.attention != TraceOptions::Attention::kNone;
  result_.id = request_.id;
  result_.prompt_tokens = static_cast<int64_t>(request_.prompt.size());
}

Hypothesis Search::root() const {
  return {.walk = Walk(tree_->root(), request_.prompt, request_.stop_strings, setting_),
          .state = request_.sampler->start()};
}

void Search::take(Hypothesis& hypothesis, TokenId token, const Decision& decision) {
  const TokenRecord record = hypothesis.walk.record_of(token, TokenSource::kBranch, decision);
  hypothesis.logprob += record.logprob;
  ++hypothesis.scored;
  if (request_.ends_at(token)) {
    hypothesis.ended = StopReason::kEndOfText;
    return;
  }
  hypothesis.walk.take(token, TokenSource::kBranch, decision, 0);
  ++taken_;
  if (*on_token_) (*on_token_)(request_.id, token, record);
  if (hypothesis.walk.stopped())
    hypothesis.ended = StopReason::kStopString;
  else if (static_cast<int64_t>(hypothesis.walk.records().size()) >= request_.max_new_tokens)
    hypothesis.ended = StopReason::kLength;
  else if (hypothesis.walk.context_full())
    hypothesis.ended = StopReason::kContext;
}

bool Search::may_spend() {
  if (ledger_.cost().token_evaluations < request_.budget.max_token_evaluations) return true;
  if (!std::exchange(has_spent_, true))
    result_.events.push_back({static_cast<int32_t>(result_.prompt_tokens), EventKind::kChoose,
                              dump_line({{"budget", "max_token_evaluations"}})});
  return false;
}

void Search::give_up(const Hypothesis& hypothesis, double score) {
  BranchRecord record;
  record.tokens = hypothesis.walk.records();
  record.fork_position = static_cast<int32_t>(hypothesis.walk.prompt_length());
  record.candidate = record.tokens.empty() ? -1 : record.tokens.front().token_id;
  record.length = static_cast<int32_t>(record.tokens.size());
  record.entropy = record.varentropy = std::numeric_limits<float>::quiet_NaN();
  record.mean_logprob = static_cast<float>(hypothesis.score());
  record.score = static_cast<float>(score);
  record.text = hypothesis.walk.text().text();
  result_.branches.push_back(std::move(record));
}

void Search::finish(Hypothesis winner, double score) {
  result_.events.push_back({static_cast<int32_t>(result_.prompt_tokens), EventKind::kChoose,
                            dump_line({{"score", number_or_null(score)}})});
  if (winner.ended == StopReason::kEndOfText)
    result_.events.push_back({static_cast<int32_t>(winner.walk.position()), EventKind::kStop,
                              dump_line({{"logprob", winner.logprob}})});
  winner.walk.finish(result_);
  result_.stop_reason = winner.ended.value_or(StopReason::kLength);
  if (winner.walk.stopped() && result_.stop_reason == StopReason::kLength)
    result_.stop_reason = StopReason::kStopString;
  result_.generated_tokens = std::ssize(result_.tokens);
  result_.discarded_tokens = taken_ - result_.generated_tokens;
  result_.cost = ledger_.cost();
  --tree_->requests;
  finished_ = true;
}

}  // namespace surprisal
