#include "experiments/branching.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "experiments/sample_json.h"
#include "lib/error.h"

namespace surprisal {
namespace {

/// Means over the first `length` records of a branch.
struct BranchMeans {
  double logprob = 0, entropy = 0, varentropy = 0;
};

BranchMeans means_of(std::span<const TokenRecord> records) {
  BranchMeans means;
  for (const TokenRecord& record : records) {
    means.logprob += record.logprob;
    means.entropy += record.entropy;
    means.varentropy += record.varentropy;
  }
  const auto n = static_cast<double>(records.size());
  return {means.logprob / n, means.entropy / n, means.varentropy / n};
}

double score_of(const BranchMeans& means, const BranchPlan& plan) {
  switch (plan.compare) {
    case BranchPlan::Compare::kMeanLogprob:
      return means.logprob;
    case BranchPlan::Compare::kMeanEntropy:
      return -means.entropy;
    case BranchPlan::Compare::kMeanVarentropy:
      return -means.varentropy;
    case BranchPlan::Compare::kWeighted:
      return plan.weight_logprob * means.logprob - plan.weight_entropy * means.entropy -
             plan.weight_varentropy * means.varentropy;
  }
  throw Error(ErrorCode::kInternal, "a branch plan compares by nothing known");
}

bool ends_sentence(const std::string& text) {
  const size_t end = text.find_last_not_of(" \t");
  return end != std::string::npos &&
         (text[end] == '.' || text[end] == '!' || text[end] == '?' || text[end] == '\n');
}

}  // namespace

double normalized_edit_distance(const std::string& a, const std::string& b) {
  if (a.empty() && b.empty()) return 0;
  std::vector<size_t> previous(b.size() + 1), current(b.size() + 1);
  std::iota(previous.begin(), previous.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (size_t j = 1; j <= b.size(); ++j)
      current[j] = std::min(
          {previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
    std::swap(previous, current);
  }
  return static_cast<double>(previous[b.size()]) /
         static_cast<double>(std::max(a.size(), b.size()));
}

Branching::Branching(const Walk& walk, const Branch& branch, const Decision& decision,
                     const Limits& limits, uint32_t first_path, const GenerationRequest& request)
    : request_(request),
      plan_(branch.plan),
      fork_(walk.records().size()),
      text_begin_(walk.text().text().size()),
      width_(branch.candidates.size()),
      decision_(decision),
      limits_(limits),
      first_path_(first_path),
      next_path_(first_path + static_cast<uint32_t>(width_)) {
  for (const TokenId candidate : branch.candidates) {
    rollouts_.push_back(branch_of(walk, candidate, rollouts_.size()));
    if (plan_.rollout != nullptr) rollouts_.back().state = plan_.rollout->start();
  }
}

/// A copy of the walk that goes on with the candidate. @param number  within the round
Rollout Branching::branch_of(const Walk& walk, TokenId candidate, size_t number) {
  Rollout rollout{.walk = walk};
  ++followed_;
  rollout.path = first_path_ + static_cast<uint32_t>(number);
  rollout.round_begin = walk.records().size();
  Decision why = decision_;
  why.action = Emit{candidate};
  rollout.walk.take(candidate, TokenSource::kBranch, why, 0);
  if (request_.ends_at(candidate))
    rollout.ended_answer = StopReason::kEndOfText;
  else if (rollout.walk.stopped())
    rollout.ended_answer = StopReason::kStopString;
  rollout.done = rollout.ended_answer || reached_stop(rollout);
  return rollout;
}

/// Its place is taken by the first of the new branches.
void Branching::part(size_t index) {
  Rollout from = std::move(rollouts_[index]);
  const auto ranked = from.walk.view({}).top(width_);
  for (size_t rank = 0; rank < ranked.size(); ++rank) {
    Rollout branch = branch_of(from.walk, ranked[rank].index, from.place * width_ + rank);
    branch.state = from.state ? from.state->clone() : nullptr;
    if (plan_.rollout != nullptr)
      plan_.rollout->observe(ranked[rank].index, TokenSource::kBranch, branch.state.get());
    if (rank == 0)
      rollouts_[index] = std::move(branch);
    else
      rollouts_.insert(rollouts_.begin() + static_cast<int64_t>(index + rank), std::move(branch));
  }
}

int64_t Branching::longest_of_round() const {
  size_t longest = 0;
  for (const Rollout& rollout : rollouts_)
    longest = std::max(longest, rollout.walk.records().size() - rollout.round_begin);
  return static_cast<int64_t>(longest);
}

bool Branching::next_round() {
  const auto can_go_on = [&](const Rollout& rollout) {
    return !rollout.ended_answer && !rollout.has_answer;
  };
  if (round_ >= plan_.rounds || !std::ranges::any_of(rollouts_, can_go_on)) return false;
  if (followed_ + plan_.keep * static_cast<int64_t>(width_) > limits_.branches) return false;
  ++round_;
  passes_ += longest_of_round();
  Verdict verdict = compare();
  std::vector<size_t> order(rollouts_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater(),
                           [&](size_t i) { return verdict.records[i].score; });
  std::vector<Rollout> kept;
  for (size_t place = 0; place < order.size(); ++place) {
    Rollout& rollout = rollouts_[order[place]];
    if (place >= static_cast<size_t>(plan_.keep)) {
      given_up_.push_back(std::move(verdict.records[order[place]]));
      continue;
    }
    rollout.round_begin = rollout.walk.records().size();
    rollout.place = place;
    rollout.parts = can_go_on(rollout) && length_left(rollout) > 0;
    rollout.done = !rollout.parts;
    kept.push_back(std::move(rollout));
  }
  rollouts_ = std::move(kept);
  first_path_ = next_path_;
  next_path_ += static_cast<uint32_t>(rollouts_.size() * width_);
  return true;
}

void Branching::step(size_t index) {
  if (rollouts_[index].parts) return part(index);
  Rollout& rollout = rollouts_[index];
  const Evaluation& evaluation = rollout.walk.evaluation();
  Decision decision;
  if (plan_.rollout == nullptr) {
    decision.action = Emit{static_cast<TokenId>(evaluation.statistics.argmax)};
    decision.temperature = 0;
    decision.kept = 1;
    decision.sampling_logprob = 0;
  } else {
    StepView view = rollout.walk.view(plan_.rollout->needs());
    view.may_branch = view.may_inject = view.may_rewind = false;
    const Draws draws(request_.draws_key, static_cast<uint32_t>(rollout.walk.position()),
                      rollout.path);
    decision = plan_.rollout->decide(view, rollout.state.get(), draws);
  }
  decision.kind = ActionKind::kBranch;
  const auto* emit = std::get_if<Emit>(&decision.action);
  if (emit == nullptr)
    throw Error(ErrorCode::kConfig,
                "the sampler that rolls branches out must only choose tokens; it wanted to do "
                "something else (use greedy or a chain)");
  if (request_.ends_at(emit->token)) {
    rollout.ended_answer = StopReason::kEndOfText;
    rollout.done = true;
    return;
  }
  rollout.walk.take(emit->token, TokenSource::kBranch, decision, 0);
  if (plan_.rollout != nullptr)
    plan_.rollout->observe(emit->token, TokenSource::kBranch, rollout.state.get());
  if (rollout.walk.stopped())
    rollout.ended_answer = StopReason::kStopString;
  else if (rollout.walk.context_full())
    rollout.ended_answer = StopReason::kContext;
  rollout.done = rollout.ended_answer.has_value() || reached_stop(rollout);
}

/// What it says where branches are rolled out to an answer, read as scorers read; else "".
std::string Branching::answer_of(const Rollout& rollout) const {
  if (plan_.stop_at != BranchPlan::StopAt::kAnswer || !request_.extract_answer) return "";
  const AnswerText& text = rollout.walk.text();
  return request_.extract_answer(without_spans(text.text(), text.foreign()));
}

int64_t Branching::length_left(const Rollout& rollout) const {
  return limits_.tokens - static_cast<int64_t>(rollout.walk.records().size() - fork_);
}

bool Branching::reached_stop(Rollout& rollout) const {
  // In the middle of a number there is an answer already, though not the one it will be.
  const std::string before = std::exchange(rollout.answer, answer_of(rollout));
  rollout.has_answer = !before.empty() && before == rollout.answer;
  const auto length = static_cast<int64_t>(rollout.walk.records().size() - rollout.round_begin);
  if (length >= plan_.horizon || length_left(rollout) <= 0) return true;
  switch (plan_.stop_at) {
    case BranchPlan::StopAt::kHorizon:
    case BranchPlan::StopAt::kEndOfText:
      return false;
    case BranchPlan::StopAt::kSentence:
      return ends_sentence(added_text(rollout));
    case BranchPlan::StopAt::kLowEntropy:
      // The fork token's own distribution is the uncertain one: look at those after it.
      return length > 1 && rollout.walk.records().back().entropy < plan_.low_entropy;
    case BranchPlan::StopAt::kAnswer:
      return rollout.has_answer;
  }
  return false;
}

bool Branching::done() const {
  return std::ranges::all_of(rollouts_, [](const Rollout& rollout) { return rollout.done; });
}

std::string Branching::added_text(const Rollout& rollout) const {
  const std::string& text = rollout.walk.text().text();
  return text.size() > text_begin_ ? text.substr(text_begin_) : std::string();
}

std::string Branching::content(const Rollout& rollout) const {
  const std::string answer = answer_of(rollout);
  return answer.empty() ? added_text(rollout) : answer;
}

bool Branching::differ(const Rollout& a, const Rollout& b) const {
  const std::string left = answer_of(a), right = answer_of(b);
  if (!left.empty() && !right.empty()) return left != right;
  return normalized_edit_distance(added_text(a), added_text(b)) > plan_.different_from;
}

Branching::Verdict Branching::compare() const {
  size_t shortest = std::numeric_limits<size_t>::max();
  for (const Rollout& rollout : rollouts_)
    shortest = std::min(shortest, rollout.walk.records().size() - fork_);
  Verdict verdict;
  std::vector<double> scores;
  for (const Rollout& rollout : rollouts_) {
    const auto added = std::span(rollout.walk.records()).subspan(fork_);
    const BranchMeans means = means_of(added.first(shortest));
    scores.push_back(score_of(means, plan_));
    BranchRecord& record = verdict.records.emplace_back();
    record.fork_position = added.front().position;
    record.candidate = added.front().token_id;
    record.length = static_cast<int32_t>(added.size());
    record.entropy = static_cast<float>(means.entropy);
    record.varentropy = static_cast<float>(means.varentropy);
    record.mean_logprob = static_cast<float>(means.logprob);
    record.score = static_cast<float>(scores.back());
    record.text = added_text(rollout);
    record.tokens.assign(added.begin(), added.end());
  }
  verdict.best = static_cast<size_t>(std::ranges::max_element(scores) - scores.begin());
  verdict.tied = {verdict.best};
  for (size_t i = 0; i < rollouts_.size(); ++i)
    if (i != verdict.best && scores[verdict.best] - scores[i] <= plan_.margin &&
        differ(rollouts_[verdict.best], rollouts_[i]))
      verdict.tied.push_back(i);
  return verdict;
}

}  // namespace surprisal
