#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "experiments/branching.h"
#include "experiments/cost_ledger.h"
#include "experiments/job.h"
#include "experiments/walk.h"

namespace surprisal {

/// One request on its way: a walk down a token tree with its own sampler state, draws, budget and
/// record, and while a fork is being explored one walk per branch. It carries out what its sampler
/// decides wherever the tree already knows what the model says, and waits elsewhere.
class Answer : public Job {
 public:
  /// @param tree      whose root is the request's prompt; outlives the answer
  /// @param on_token  outlives the answer
  Answer(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
         const TokenCallback& on_token);

  void advance() override;
  bool finished() const override;
  /// One node, or one per unfinished branch, and those of twins.
  std::vector<TokenNode*> waiting_at() override;
  TokenTree& tree() override { return *tree_; }
  Needs needs() const override { return needs_; }
  GenerationResult take_result() override;

  /// What it has used so far.
  const CostLedger& ledger() const { return ledger_; }

 private:
  /// A twin: `parent` where it stands, gone on with by `base`.
  Answer(const Answer& parent, Sampler::Base base);

  void advance_itself();
  void step();
  Decision decide();
  bool is_twin_due(const Decision& decision) const;
  void begin_twins(const Decision& decision);
  StepView view() const;
  Draws draws_here() const;
  void carry_out(Decision decision);
  void emit(TokenId token, const Decision& decision);
  void insert(std::vector<TokenId> tokens, TokenSource source, const Decision& decision);
  void rewind(const Rewind& rewind);
  void begin_branching(const Branch& branch, const Decision& decision);
  void explore();
  void resolve_branching();
  AskReply reply_to(const AskUser& question) const;
  void ask(const AskUser& question, const Decision& decision);
  void look_up(const Retrieve& retrieve, const Decision& decision);
  void take(TokenId token, TokenSource source, const Decision& decision);
  bool over();
  void finish(StopReason reason);
  void note(EventKind kind, std::string detail);

  GenerationRequest request_;
  TokenTree* tree_;
  WalkSetting setting_;
  const TokenCallback* on_token_;
  Needs needs_;
  Walk walk_;
  std::unique_ptr<SamplerState> state_;
  std::vector<std::unique_ptr<SamplerState>> snapshots_;  // state before each taken token
  std::map<int64_t, std::set<TokenId>> bans_;             // by position; they survive rewinds
  std::map<int64_t, int32_t> attempts_;                   // by position
  std::deque<TokenId> inserting_;                         // what remains to be inserted
  TokenSource inserting_source_ = TokenSource::kInjected;
  Decision inserting_decision_;
  std::unique_ptr<Branching> branching_;
  Decision branching_decision_;
  uint32_t next_path_ = 1;
  CostLedger ledger_;
  int64_t branches_ = 0;
  int64_t found_nothing_at_ = -1;  ///< position of the last look-up that found nothing
  /// A fork that is followed both ways.
  struct Twins {
    TokenRecord fork;
    std::unique_ptr<Answer> treated, untreated;
  };
  std::vector<Twins> twins_;
  GenerationResult result_;
  bool finished_ = false;  ///< it itself, though perhaps not all twins
};

}  // namespace surprisal
