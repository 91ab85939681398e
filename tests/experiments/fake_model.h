#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lib/error.h"
#include "models/model.h"

namespace surprisal::testing {

/// A model whose logits are a hash of the whole context, read back from the cache token by token: a
/// single wrong, missing or shared-by-mistake cache slot changes them beyond recognition. A token
/// behind a skipped position counts as late(token), another token.
class FakeModel : public Model {
 public:
  explicit FakeModel(int64_t vocab_size = 64, int64_t context = 512) {
    config_.model_type = "fake";
    config_.vocab_size = vocab_size;
    config_.hidden_size = 1;
    config_.intermediate_size = 1;
    config_.num_hidden_layers = 1;
    config_.num_attention_heads = 1;
    config_.num_key_value_heads = 1;
    config_.head_dim = 1;
    config_.max_position_embeddings = context;
  }
  const ModelConfig& config() const override { return config_; }
  at::Device device() const override { return at::kCPU; }
  at::ScalarType dtype() const override { return at::kFloat; }
  int64_t weight_bytes() const override { return 0; }

  StepOutput forward(std::span<const ModelRow> rows, KVCache& cache,
                     const ForwardRequest& request) const override {
    const auto batch = static_cast<int64_t>(rows.size());
    StepOutput output;
    output.logits = at::empty({batch, config_.vocab_size}, at::kFloat);
    float* keys = cache.keys(0).data_ptr<float>();  // [blocks, 1, kBlockTokens, 1]
    const int64_t stride = cache.keys(0).stride(0);
    for (int64_t b = 0; b < batch; ++b) {
      const ModelRow& row = rows[static_cast<size_t>(b)];
      const auto slot = [&](int64_t position) -> float& {
        const int64_t block = cache.blocks(row.sequence)[position / KVCache::kBlockTokens];
        return keys[block * stride + position % KVCache::kBlockTokens];
      };
      const int64_t begin = cache.length(row.sequence);
      for (size_t i = 0; i < row.tokens.size(); ++i)
        slot(begin + static_cast<int64_t>(i)) = static_cast<float>(
            begin + static_cast<int64_t>(i) < row.gap_at ? row.tokens[i] : late(row.tokens[i]));
      cache.advance(row.sequence, static_cast<int64_t>(row.tokens.size()));
      std::vector<TokenId> context;
      for (int64_t i = 0; i < cache.length(row.sequence); ++i)
        context.push_back(static_cast<TokenId>(slot(i)));
      const std::vector<float> logits = logits_after(context);
      std::copy(logits.begin(), logits.end(),
                output.logits.data_ptr<float>() + b * config_.vocab_size);
    }
    if (request.attention_statistics) {
      output.attention.per_head = at::ones({batch, 1, 1, kHeadStatistics});
      output.attention.per_layer = at::ones({batch, 1, kLayerStatistics});
      for (const ModelRow& row : rows)
        output.attention.valid_lengths.push_back(cache.length(row.sequence));
    }
    return output;
  }

  static TokenId late(TokenId token) { return token + 1000; }

  /// What the model says after a context; the oracle of engine tests.
  virtual std::vector<float> logits_after(std::span<const TokenId> context) const {
    uint64_t hash = 0x9E3779B97F4A7C15;
    for (const TokenId token : context)
      hash = (hash ^ static_cast<uint64_t>(token)) * 0xD6E8FEB86659FD93 + 1;
    std::vector<float> logits;
    for (int64_t v = 0; v < config_.vocab_size; ++v) {
      uint64_t x = hash + static_cast<uint64_t>(v) * 0xBF58476D1CE4E5B9;
      x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
      x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
      logits.push_back(static_cast<float>(x >> 40) * 0x1p-24f * 4);
    }
    return logits;
  }

 private:
  ModelConfig config_;
};

/// Token i is the letter 'a' + i % 26; the last id ends a text.
class LetterTokenizer : public Tokenizer {
 public:
  explicit LetterTokenizer(int64_t vocab_size = 64) : vocab_size_(vocab_size) {
    for (int64_t id = 0; id < vocab_size; ++id)
      pieces_.push_back({.bytes = std::string(1, static_cast<char>('a' + id % 26))});
  }
  std::vector<TokenId> encode(std::string_view text, bool, bool) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(c - 'a');
    return ids;
  }
  const TokenPiece& piece(TokenId id) const override { return pieces_.at(static_cast<size_t>(id)); }
  const DecodeRules& decode_rules() const override { return rules_; }
  int64_t vocab_size() const override { return vocab_size_; }
  bool is_special(TokenId) const override { return false; }
  std::optional<TokenId> bos_token_id() const override { return std::nullopt; }
  std::optional<TokenId> eos_token_id() const override {
    return static_cast<TokenId>(vocab_size_ - 1);
  }
  std::optional<TokenId> token_id(std::string_view) const override { return std::nullopt; }
  std::string description() const override { return "letters"; }
  const std::string& sha256() const override { return sha256_; }

 private:
  int64_t vocab_size_;
  std::vector<TokenPiece> pieces_;
  DecodeRules rules_;
  std::string sha256_ = "letters";
};

}  // namespace surprisal::testing
