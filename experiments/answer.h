#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_set>
#include <vector>

#include "experiments/branching.h"
#include "experiments/walk.h"

namespace surprisal {

/// One request on its way: a walk down a token tree with its own sampler state, draws, budget and
/// record, and while a fork is being explored one walk per branch. It carries out what its sampler
/// decides wherever the tree already knows what the model says, and waits elsewhere.
class Answer {
 public:
  using TokenCallback = std::function<void(int64_t, TokenId, const TokenRecord&)>;

  Answer(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
         const TokenCallback& on_token);
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  /// Goes on until it is finished or stands only where the model has to be asked.
  /// @throws Error(kUnsupported, kConfig) on a decision that cannot be carried out
  void advance();

  bool finished() const { return finished_; }
  /// The nodes it waits at: one, or one per unfinished branch.
  std::vector<TokenNode*> waiting_at();
  TokenTree& tree() { return *tree_; }
  Needs needs() const { return needs_; }

  /// The finished answer; call once.
  GenerationResult take_result() { return std::move(result_); }

 private:
  bool is_known(const TokenNode& node) const;
  void visit(const TokenNode& node);
  void step();
  Decision decide();
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
  std::unordered_set<const TokenNode*> visited_;  // nodes whose evaluation it has used
  int64_t branches_ = 0;
  int64_t found_nothing_at_ = -1;  ///< position of the last look-up that found nothing
  GenerationResult result_;
  bool finished_ = false;
};

}  // namespace surprisal
