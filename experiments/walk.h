#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/answer_text.h"
#include "experiments/engine.h"
#include "experiments/token_tree.h"

namespace surprisal {

/// What a walk needs to know that is the same for all walks of an answer.
struct WalkSetting {
  const Tokenizer* tokenizer;
  const ModelConfig* config;
  TraceOptions trace;
};

/// Marks a node as waited at; copies count separately.
class NodeLease {
 public:
  explicit NodeLease(TokenNode& node) : node_(&node) { ++node_->waiting; }
  NodeLease(const NodeLease& other) : NodeLease(*other.node_) {}
  NodeLease& operator=(const NodeLease& other) {
    ++other.node_->waiting;
    --node_->waiting;
    node_ = other.node_;
    return *this;
  }
  ~NodeLease() { --node_->waiting; }
  TokenNode& operator*() const { return *node_; }
  TokenNode* operator->() const { return node_; }

 private:
  TokenNode* node_;
};

/// A way down a token tree: where it stands, the tokens it took, their records and text. Copying
/// one is how a branch begins.
class Walk {
 public:
  Walk(TokenNode& root, std::vector<TokenId> prompt, std::vector<std::string> stop_strings,
       const WalkSetting& setting);

  TokenNode& node() const { return *node_; }
  const Evaluation& evaluation() const { return node_->evaluation; }
  int64_t position() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t prompt_length() const { return prompt_length_; }
  std::span<const TokenId> tokens() const { return tokens_; }
  const std::vector<TokenRecord>& records() const { return records_; }
  const AnswerText& text() const { return text_; }

  /// What a sampler with these needs may look at here; the evaluation must serve them. Budgets are
  /// the caller's.
  StepView view(const Needs& needs) const;

  /// Takes `token` from here, with the record of why. The node's evaluation must be known.
  /// @param attempt  how often this position was returned to
  void take(TokenId token, TokenSource source, const Decision& decision, int32_t attempt);
  /// Whether the text just completed a stop string; then it is cut there.
  bool stopped() const { return stopped_; }
  /// Whether no further token fits the model's context.
  bool context_full() const { return position() >= setting_.config->max_position_embeddings; }

  /// Goes back by `count` taken tokens. @return their records
  std::vector<TokenRecord> take_back(int64_t count);

  /// Ends the text; hands over what an answer keeps. Call once.
  void finish(GenerationResult& result);

  /// What there is to say about choosing `token` here. The node's evaluation must be known.
  TokenRecord record_of(TokenId token, TokenSource source, const Decision& decision) const;

 private:
  NodeRecord trace_node() const;

  WalkSetting setting_;
  int64_t prompt_length_;
  NodeLease node_;
  std::vector<TokenId> tokens_;  // the prompt, then what was taken
  std::vector<std::string> stop_strings_;
  AnswerText text_;
  bool stopped_ = false;
  std::vector<TokenRecord> records_;  // one per taken token
  std::vector<NodeRecord> nodes_;     // likewise
};

}  // namespace surprisal
