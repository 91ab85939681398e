#include "experiments/strategies/panel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "experiments/sample_json.h"
#include "lib/json.h"

namespace surprisal {
namespace {

/// A whole answer as a branch that parts from the chosen one where the prompt ends.
BranchRecord as_branch(const GenerationResult& answer, double score) {
  BranchRecord record;
  record.fork_position = static_cast<int32_t>(answer.prompt_tokens);
  record.candidate = answer.tokens.empty() ? -1 : answer.tokens.front().token_id;
  record.length = static_cast<int32_t>(answer.tokens.size());
  double entropy = 0, varentropy = 0, logprob = 0;
  for (const TokenRecord& token : answer.tokens) {
    entropy += token.entropy;
    varentropy += token.varentropy;
    logprob += token.logprob;
  }
  const auto mean = [&](double sum) {
    return answer.tokens.empty() ? std::numeric_limits<float>::quiet_NaN()
                                 : static_cast<float>(sum / record.length);
  };
  record.entropy = mean(entropy);
  record.varentropy = mean(varentropy);
  record.mean_logprob = mean(logprob);
  record.score = static_cast<float>(score);
  record.text = answer.response;
  return record;
}

/// Carries a panel out: its answers walk one tree, each a request of its own.
class PanelJob : public Job {
 public:
  PanelJob(std::unique_ptr<Panel> panel, const GenerationRequest& request, TokenTree& tree,
           const WalkSetting& setting, const TokenCallback& on_token)
      : panel_(std::move(panel)),
        id_(request.id),
        tree_(&tree),
        setting_(setting),
        on_token_(&on_token),
        ledger_(*setting.config) {
    ++tree_->requests;
    needs_ = request.sampler->needs();
    needs_.attention =
        needs_.attention || setting.trace.attention != TraceOptions::Attention::kNone;
    begin_round();
  }

  void advance() override {
    while (!finished_) {
      for (Answer& member : members_)
        if (!member.finished()) member.advance();
      if (!std::ranges::all_of(members_, &Answer::finished)) return;
      end_round();
      begin_round();
      if (members_.empty()) choose();
    }
  }
  bool finished() const override { return finished_; }
  std::vector<TokenNode*> waiting_at() override {
    std::vector<TokenNode*> nodes;
    for (Answer& member : members_)
      if (!member.finished())
        for (TokenNode* node : member.waiting_at()) nodes.push_back(node);
    return nodes;
  }
  TokenTree& tree() override { return *tree_; }
  Needs needs() const override { return needs_; }
  GenerationResult take_result() override { return std::move(chosen_); }

 private:
  void begin_round() {
    for (GenerationRequest& request : panel_->next(answers_))
      members_.emplace_back(std::move(request), *tree_, setting_, *on_token_);
  }

  /// Side by side, a round takes as many steps as its longest answer; the prompt is read once.
  void end_round() {
    int64_t longest = 0;
    for (Answer& member : members_) {
      longest = std::max(longest, member.ledger().cost().forward_passes);
      ledger_.add(member.ledger());
      answers_.push_back(member.take_result());
    }
    ledger_.step(longest - (std::exchange(prompt_is_read_, true) ? 1 : 0));
    members_.clear();
  }

  void choose() {
    const Choice choice = panel_->choose(answers_);
    chosen_ = std::move(answers_[choice.best]);
    Json scores = Json::array();
    for (size_t i = 0; i < answers_.size(); ++i) {
      scores.push_back(number_or_null(choice.scores[i]));
      GenerationResult& answer = i == choice.best ? chosen_ : answers_[i];
      BranchRecord record = as_branch(answer, choice.scores[i]);
      record.kept = i == choice.best;
      if (!record.kept) {
        chosen_.discarded_tokens += record.length + answer.discarded_tokens;
        chosen_.interventions += answer.interventions;
        record.tokens = std::move(answer.tokens);
      }
      chosen_.branches.push_back(std::move(record));
    }
    chosen_.events.push_back({static_cast<int32_t>(chosen_.prompt_tokens), EventKind::kChoose,
                              dump_line({{"kept", choice.best}, {"scores", scores}})});
    chosen_.id = id_;
    chosen_.cost = ledger_.cost();
    --tree_->requests;
    finished_ = true;
  }

  std::unique_ptr<Panel> panel_;
  int64_t id_;
  TokenTree* tree_;
  WalkSetting setting_;
  const TokenCallback* on_token_;
  Needs needs_;
  CostLedger ledger_;
  std::deque<Answer> members_;  // of this round
  std::vector<GenerationResult> answers_;
  bool prompt_is_read_ = false, finished_ = false;
  GenerationResult chosen_;
};

}  // namespace

std::unique_ptr<Job> PanelStrategy::start(GenerationRequest request, TokenTree& tree,
                                          const WalkSetting& setting,
                                          const TokenCallback& on_token) const {
  return std::make_unique<PanelJob>(convene(request, *setting.tokenizer), request, tree, setting,
                                    on_token);
}

GenerationRequest member_request(const GenerationRequest& request, size_t member) {
  GenerationRequest own = request;
  own.strategy = nullptr;
  own.draws_key = request.member_keys.at(member);
  own.member_keys.clear();
  return own;
}

std::vector<GenerationRequest> member_requests(const GenerationRequest& request, int64_t count) {
  std::vector<GenerationRequest> requests;
  for (int64_t member = 0; member < count; ++member)
    requests.push_back(member_request(request, static_cast<size_t>(member)));
  return requests;
}

std::vector<std::string> extracted_answers(const GenerationRequest& request,
                                           const std::vector<GenerationResult>& answers) {
  std::vector<std::string> texts;
  for (const GenerationResult& answer : answers)
    texts.push_back(request.extract_answer
                        ? request.extract_answer(without_spans(answer.response, answer.foreign))
                        : answer.response);
  return texts;
}

size_t weighted_vote(const std::vector<std::string>& answers, const std::vector<double>& weights) {
  std::map<std::string, double> totals;
  for (size_t i = 0; i < answers.size(); ++i)
    if (!answers[i].empty()) totals[answers[i]] += weights[i];
  size_t best = 0;
  double heaviest = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].empty() || totals[answers[i]] <= heaviest) continue;
    heaviest = totals[answers[i]];
    best = i;
  }
  return best;
}

}  // namespace surprisal
