#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "experiments/answer_text.h"
#include "experiments/engine.h"
#include "experiments/token_tree.h"

namespace surprisal {

/// One request on its way: a cursor on a token tree with its own sampler state, draws, budget and
/// record. It decides wherever the tree already knows what the model says, and waits elsewhere.
class Answer {
 public:
  using TokenCallback = std::function<void(int64_t, TokenId, const TokenRecord&)>;

  Answer(GenerationRequest request, TokenTree& tree, const Tokenizer& tokenizer,
         const ModelConfig& config, const TraceOptions& trace, const TokenCallback& on_token);

  /// Decides on the next token at the cursor's node, which must be evaluated, and moves on.
  /// @throws Error(kUnsupported) on a decision this engine does not carry out
  void step();

  bool finished() const { return finished_; }
  TokenNode& node() { return *node_; }
  Needs needs() const;

  /// The finished answer; call once.
  GenerationResult take_result();

 private:
  void carry_out(const Decision& decision);
  void append(TokenId token, TokenSource source, const Decision& decision);
  void finish(StopReason reason);
  StepView view() const;
  TokenRecord record_of(TokenId token, TokenSource source, const Decision& decision) const;
  NodeRecord trace_node() const;

  GenerationRequest request_;
  const ModelConfig* config_;
  TraceOptions trace_;
  const TokenCallback* on_token_;

  TokenNode* node_;
  std::vector<TokenId> tokens_;  // prompt, then the answer so far
  std::unique_ptr<SamplerState> state_;
  AnswerText text_;
  std::deque<TokenId> injecting_;  // what remains of a thought being inserted
  Decision injecting_decision_;
  GenerationResult result_;
  bool finished_ = false;
};

}  // namespace surprisal
