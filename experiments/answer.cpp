#include "experiments/answer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "lib/error.h"
#include "lib/json.h"
#include "samplers/chain_step.h"

namespace surprisal {
namespace {

const TokenCallback kNobodyListens;

/// The decision that ends a text is no token of the answer, so its figures go into the event:
/// whether other thresholds would have ended it, too, depends on them (replay.h).
std::string end_of_text(const TokenRecord& record) {
  return dump_line({{"token_id", record.token_id},
                    {"state", kStateNames[static_cast<size_t>(record.state)]},
                    {"action", kActionNames[static_cast<size_t>(record.action)]},
                    {"rank", record.rank},
                    {"entropy", number_or_null(record.entropy)},
                    {"varentropy", number_or_null(record.varentropy)},
                    {"max_probability", number_or_null(record.max_probability)},
                    {"second_probability", number_or_null(record.second_probability)}});
}

}  // namespace

Answer::Answer(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
               const TokenCallback& on_token)
    : request_(std::move(request)),
      tree_(&tree),
      setting_(setting),
      on_token_(&on_token),
      needs_(request_.sampler->needs()),
      walk_(tree.root(), request_.prompt, request_.stop_strings, setting),
      state_(request_.sampler->start()),
      next_path_(request_.path + 1),
      ledger_(*setting.config) {
  ++tree_->requests;
  needs_.attention = needs_.attention || setting_.trace.attention != TraceOptions::Attention::kNone;
  result_.id = request_.id;
  result_.prompt_tokens = walk_.prompt_length();
}

Answer::Answer(const Answer& parent, Sampler::Base base)
    : request_(parent.request_),
      tree_(parent.tree_),
      setting_(parent.setting_),
      on_token_(&kNobodyListens),
      needs_(base.sampler->needs()),
      walk_(parent.walk_),
      state_(std::move(base.state)),
      bans_(parent.bans_),
      attempts_(parent.attempts_),
      next_path_(parent.next_path_),
      ledger_(*setting_.config) {
  ++tree_->requests;
  for (const auto& snapshot : parent.snapshots_)
    snapshots_.push_back(parent.request_.sampler->base(snapshot.get()).state);
  request_.sampler = base.sampler;
  request_.counterfactual = {};
  needs_.attention = parent.needs_.attention;
  result_.id = request_.id;
  result_.prompt_tokens = walk_.prompt_length();
}

bool Answer::finished() const {
  return finished_ && std::ranges::all_of(twins_, [](const Twins& pair) {
           return pair.treated->finished() && pair.untreated->finished();
         });
}

std::vector<TokenNode*> Answer::waiting_at() {
  std::vector<TokenNode*> nodes;
  if (!finished_ && !branching_) nodes.push_back(&walk_.node());
  if (branching_)
    for (const Rollout& rollout : branching_->rollouts())
      if (!rollout.done) nodes.push_back(&rollout.walk.node());
  for (const Twins& pair : twins_)
    for (Answer* twin : {pair.treated.get(), pair.untreated.get()})
      if (!twin->finished())
        for (TokenNode* node : twin->waiting_at()) nodes.push_back(node);
  return nodes;
}

GenerationResult Answer::take_result() {
  const auto half = [](Answer& twin) {
    GenerationResult result = twin.take_result();
    return TwinAnswer{.response = std::move(result.response),
                      .foreign = std::move(result.foreign),
                      .stop_reason = result.stop_reason,
                      .generated_tokens = result.generated_tokens,
                      .token_evaluations = result.cost.token_evaluations,
                      .score = {}};
  };
  for (const Twins& pair : twins_)
    result_.twins.push_back({pair.fork, half(*pair.treated), half(*pair.untreated)});
  return std::move(result_);
}

void Answer::advance() {
  advance_itself();
  for (const Twins& pair : twins_)
    for (Answer* twin : {pair.treated.get(), pair.untreated.get()})
      if (!twin->finished()) twin->advance();
}

void Answer::advance_itself() {
  while (!finished_) {
    if (branching_) {
      explore();
      if (branching_) return;
    } else if (walk_.evaluation().serves(needs_)) {
      step();
    } else {
      return;
    }
  }
}

void Answer::step() {
  if (ledger_.visit(walk_.node())) ledger_.step();
  if (inserting_.empty()) {
    Decision decision = decide();
    if (is_twin_due(decision)) begin_twins(decision);
    return carry_out(std::move(decision));
  }
  const TokenId token = inserting_.front();
  inserting_.pop_front();
  take(token, inserting_source_, inserting_decision_);
}

StepView Answer::view() const {
  const Budget& budget = request_.budget;
  // Only what the sampler asked for: what a trace or another answer needs must not change
  // decisions.
  StepView view = walk_.view(request_.sampler->needs());
  const bool may_spend = ledger_.cost().token_evaluations < budget.max_token_evaluations;
  view.remaining_tokens = request_.max_new_tokens - static_cast<int64_t>(walk_.records().size());
  view.may_inject =
      may_spend && result_.injected_tokens + result_.retrieved_tokens < budget.max_injected;
  view.may_rewind = may_spend;
  view.may_branch = may_spend && branches_ < budget.max_branches;
  view.schedule = request_.schedule ? &*request_.schedule : nullptr;
  return view;
}

Draws Answer::draws_here() const {
  const auto attempt = attempts_.find(walk_.position());
  return Draws(request_.draws_key, static_cast<uint32_t>(walk_.position()), request_.path,
               attempt == attempts_.end() ? 0 : static_cast<uint32_t>(attempt->second));
}

Decision Answer::decide() {
  const auto bans = bans_.find(walk_.position());
  StepView seen = view();
  if (bans == bans_.end()) return request_.sampler->decide(seen, state_.get(), draws_here());
  // What was banned here is out of the distribution the sampler sees, though not out of the trace.
  std::vector<float> logits(seen.logits.begin(), seen.logits.end());
  for (const TokenId token : bans->second)
    logits[static_cast<size_t>(token)] = -std::numeric_limits<float>::infinity();
  const DistributionStatistics statistics = distribution_statistics(logits);
  seen.logits = logits;
  seen.statistics = &statistics;
  seen.shared = nullptr;  // it is about the row with what was banned
  return request_.sampler->decide(seen, state_.get(), draws_here());
}

/// Whether a twin is drawn depends on the place alone, so it is a fair sample of where a state
/// fires.
bool Answer::is_twin_due(const Decision& decision) const {
  const Counterfactual& rule = request_.counterfactual;
  return rule.probability > 0 && !std::holds_alternative<Emit>(decision.action) &&
         std::ranges::count(rule.actions, decision.kind) > 0 &&
         draws_here().uniform(kTwinDraw) < rule.probability;
}

void Answer::begin_twins(const Decision& decision) {
  const auto twin = [&]() -> std::unique_ptr<Answer> {
    Sampler::Base base = request_.sampler->base(state_.get());
    if (base.sampler == nullptr) return nullptr;
    return std::unique_ptr<Answer>(new Answer(*this, std::move(base)));
  };
  Twins pair;
  pair.treated = twin();
  if (!pair.treated) return;
  pair.untreated = twin();
  pair.fork = walk_.record_of(static_cast<TokenId>(walk_.evaluation().statistics.argmax),
                              TokenSource::kSampled, decision);
  pair.treated->ledger_.visit(walk_.node());
  pair.treated->ledger_.step();
  pair.treated->carry_out(decision);
  twins_.push_back(std::move(pair));
}

void Answer::carry_out(Decision decision) {
  const Action action = std::move(decision.action);
  if (const auto* to_emit = std::get_if<Emit>(&action)) return emit(to_emit->token, decision);
  if (const auto* stop = std::get_if<Stop>(&action)) {
    note(EventKind::kStop, stop->reason);
    return finish(StopReason::kSampler);
  }
  ++result_.interventions;
  if (const auto* inject = std::get_if<Inject>(&action)) {
    note(EventKind::kThink, inject->text);
    insert(inject->tokens, TokenSource::kInjected, decision);
  } else if (const auto* to_rewind = std::get_if<Rewind>(&action)) {
    rewind(*to_rewind);
  } else if (const auto* branch = std::get_if<Branch>(&action)) {
    begin_branching(*branch, decision);
  } else if (const auto* question = std::get_if<AskUser>(&action)) {
    ask(*question, decision);
  } else if (const auto* retrieve = std::get_if<Retrieve>(&action)) {
    look_up(*retrieve, decision);
  }
}

void Answer::emit(TokenId token, const Decision& decision) {
  if (token < 0 || token >= static_cast<TokenId>(walk_.evaluation().logits.size()))
    throw Error(ErrorCode::kInternal, "a sampler chose token " + std::to_string(token) +
                                          " of a vocabulary of " +
                                          std::to_string(walk_.evaluation().logits.size()));
  if (request_.ends_at(token)) {
    note(EventKind::kStop, end_of_text(walk_.record_of(token, TokenSource::kSampled, decision)));
    return finish(StopReason::kEndOfText);
  }
  take(token, TokenSource::kSampled, decision);
}

void Answer::insert(std::vector<TokenId> tokens, TokenSource source, const Decision& decision) {
  if (tokens.empty()) throw Error(ErrorCode::kInternal, "nothing to insert into an answer");
  inserting_.assign(tokens.begin(), tokens.end());
  inserting_source_ = source;
  inserting_decision_ = decision;
  step();
}

void Answer::take(TokenId token, TokenSource source, const Decision& decision) {
  const auto attempt = attempts_.find(walk_.position());
  snapshots_.push_back(state_ ? state_->clone() : nullptr);
  walk_.take(token, source, decision, attempt == attempts_.end() ? 0 : attempt->second);
  request_.sampler->observe(token, source, state_.get());
  if (source == TokenSource::kInjected) ++result_.injected_tokens;
  if (source == TokenSource::kRetrieved) ++result_.retrieved_tokens;
  if (*on_token_) (*on_token_)(request_.id, token, walk_.records().back());
  over();
}

/// Ends the answer where a stop string, its length or the context ends it.
bool Answer::over() {
  if (walk_.stopped())
    finish(StopReason::kStopString);
  else if (static_cast<int64_t>(walk_.records().size()) >= request_.max_new_tokens)
    finish(StopReason::kLength);
  else if (walk_.context_full())
    finish(StopReason::kContext);
  return finished_;
}

void Answer::rewind(const Rewind& rewind) {
  const int64_t taken = static_cast<int64_t>(walk_.records().size());
  if (rewind.count < 1 || rewind.count > taken)
    throw Error(ErrorCode::kInternal, "a sampler wants to take back " +
                                          std::to_string(rewind.count) + " of " +
                                          std::to_string(taken) + " tokens");
  const std::string before = walk_.text().text();
  BranchRecord record;
  record.tokens = walk_.take_back(rewind.count);
  record.fork_position = static_cast<int32_t>(walk_.position());
  record.candidate = record.tokens.front().token_id;
  record.length = static_cast<int32_t>(rewind.count);
  record.text = before.substr(std::min(before.size(), walk_.text().text().size()));
  record.score = record.entropy = record.varentropy = record.mean_logprob =
      std::numeric_limits<float>::quiet_NaN();
  if (rewind.ban) bans_[walk_.position()].insert(record.candidate);
  ++attempts_[walk_.position()];
  for (const TokenRecord& token : record.tokens) {
    result_.injected_tokens -= token.source == TokenSource::kInjected;
    result_.retrieved_tokens -= token.source == TokenSource::kRetrieved;
  }
  result_.discarded_tokens += rewind.count;
  note(EventKind::kRewind, record.text);
  result_.branches.push_back(std::move(record));

  auto restored = std::move(snapshots_[static_cast<size_t>(taken - rewind.count)]);
  snapshots_.resize(static_cast<size_t>(taken - rewind.count));
  request_.sampler->carry_ledger(state_.get(), restored.get());
  state_ = std::move(restored);
}

void Answer::begin_branching(const Branch& branch, const Decision& decision) {
  if (branch.candidates.size() < 2 || branch.plan.horizon < 1)
    throw Error(ErrorCode::kInternal, "a branch needs two candidates and a horizon");
  branching_decision_ = decision;
  branching_ = std::make_unique<Branching>(
      walk_, branch, decision,
      Branching::Limits{
          .tokens = request_.max_new_tokens - static_cast<int64_t>(walk_.records().size()),
          .branches = request_.budget.max_branches - branches_},
      next_path_, request_);
}

/// Moves every branch as far as the tree knows; the last to end decides the fork.
void Answer::explore() {
  do {
    std::vector<Rollout>& rollouts = branching_->rollouts();
    for (size_t i = 0; i < rollouts.size(); ++i) {  // a step may add some behind it
      while (!rollouts[i].done && rollouts[i].walk.evaluation().serves(needs_)) {
        ledger_.visit(rollouts[i].walk.node());
        branching_->step(i);
      }
    }
    if (!branching_->done()) return;
  } while (branching_->next_round());
  ledger_.step(branching_->passes());
  branches_ += branching_->followed();
  next_path_ = branching_->next_path();
  resolve_branching();
}

void Answer::resolve_branching() {
  const std::unique_ptr<Branching> branching = std::move(branching_);
  Branching::Verdict verdict = branching->compare();
  size_t winner = verdict.best;
  std::optional<std::string> own_words;
  if (verdict.tied.size() > 1) {
    AskUser question{"The model sees equally good ways to go on. Which one?", {}};
    std::sort(verdict.tied.begin(), verdict.tied.end());  // as the sampler named them
    for (const size_t tied : verdict.tied) {
      if (tied == verdict.best) question.best = question.options.size();
      question.options.push_back(branching->content(branching->rollouts()[tied]));
    }
    const AskReply reply = reply_to(question);
    winner = verdict.tied.at(reply.option);
    own_words = reply.own_words;
    note(EventKind::kAsk,
         dump_line({{"question", question.question},
                    {"options", question.options},
                    {"answer", own_words ? Json(*own_words) : Json(reply.option)}}));
  }
  Rollout& chosen = branching->rollouts()[winner];
  for (size_t i = 0; i < verdict.records.size(); ++i) {
    BranchRecord& record = verdict.records[i];
    record.kept = i == winner && !own_words;
    if (record.kept)
      record.tokens.clear();
    else
      result_.discarded_tokens += record.length;
    result_.branches.push_back(std::move(record));
  }
  for (BranchRecord& record : branching->take_given_up()) {
    result_.discarded_tokens += record.length;
    result_.branches.push_back(std::move(record));
  }
  note(EventKind::kBranch, dump_line({{"candidates", branching->followed()},
                                      {"kept", winner},
                                      {"tied", verdict.tied.size() > 1}}));
  if (own_words)
    return insert(setting_.tokenizer->encode(*own_words, false, false), TokenSource::kUser,
                  branching_decision_);

  const size_t fork = walk_.records().size();
  std::optional<StopReason> ended = chosen.ended_answer;
  if (ended == StopReason::kEndOfText && request_.ends_at(chosen.walk.records().back().token_id))
    chosen.walk.take_back(1);  // the end of text was itself a candidate: not part of the answer
  walk_ = std::move(chosen.walk);
  for (size_t i = fork; i < walk_.records().size(); ++i) {
    const TokenRecord& record = walk_.records()[i];
    snapshots_.push_back(state_ ? state_->clone() : nullptr);
    request_.sampler->observe(record.token_id, record.source, state_.get());
    if (*on_token_) (*on_token_)(request_.id, record.token_id, record);
  }
  if (ended)
    finish(*ended);
  else
    over();
}

AskReply Answer::reply_to(const AskUser& question) const {
  AskUser asked = question;
  asked.so_far = walk_.text().text();
  return (request_.ask ? request_.ask : ask_policy("best"))(asked, draws_here());
}

void Answer::ask(const AskUser& question, const Decision& decision) {
  const AskReply reply = reply_to(question);
  const std::string answer = reply.own_words ? *reply.own_words
                             : reply.option < question.options.size()
                                 ? question.options[reply.option]
                                 : "";
  note(EventKind::kAsk,
       dump_line(
           {{"question", question.question}, {"options", question.options}, {"answer", answer}}));
  if (answer.empty())
    throw Error(ErrorCode::kConfig, "a sampler asked the user, and there was no answer to insert");
  insert(setting_.tokenizer->encode(answer, false, false), TokenSource::kUser, decision);
}

void Answer::look_up(const Retrieve& retrieve, const Decision& decision) {
  if (!request_.retrieve)
    throw Error(ErrorCode::kConfig,
                "a sampler wants to retrieve something, but no retriever is configured");
  const std::string found = request_.retrieve(retrieve.query);
  note(EventKind::kRetrieve, dump_line({{"query", retrieve.query}, {"found", found}}));
  const auto tokens = setting_.tokenizer->encode(found, false, false);
  if (!tokens.empty()) return insert(tokens, TokenSource::kRetrieved, decision);
  if (std::exchange(found_nothing_at_, walk_.position()) == walk_.position())
    throw Error(ErrorCode::kInternal,
                "a sampler looks up again at once what was not found: it would never go on");
}

void Answer::note(EventKind kind, std::string detail) {
  result_.events.push_back({static_cast<int32_t>(walk_.position()), kind, std::move(detail)});
}

void Answer::finish(StopReason reason) {
  walk_.finish(result_);
  if (walk_.stopped() && reason == StopReason::kLength) reason = StopReason::kStopString;
  result_.stop_reason = reason;
  result_.generated_tokens = static_cast<int64_t>(result_.tokens.size());
  result_.cost = ledger_.cost();
  --tree_->requests;
  finished_ = true;
}

AskPolicy ask_policy(const std::string& name) {
  if (name == "best")
    return [](const AskUser& question, const Draws&) {
      return AskReply{.option = question.best, .own_words = std::nullopt};
    };
  if (name == "first") return [](const AskUser&, const Draws&) { return AskReply{}; };
  if (name == "random") {
    return [](const AskUser& question, const Draws& draws) {
      const double u = draws.uniform(kAskDraw);
      return AskReply{
          .option = static_cast<size_t>(u * static_cast<double>(question.options.size())),
          .own_words = std::nullopt};
    };
  }
  const std::vector<std::string> known(std::begin(kAskPolicyNames), std::end(kAskPolicyNames));
  throw unknown_name_error("ask policy", name, known);
}

}  // namespace surprisal
