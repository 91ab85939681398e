#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "experiments/engine.h"
#include "tests/experiments/fake_model.h"

namespace surprisal::testing {

inline constexpr TokenId kEnd = 7;
inline const std::vector<TokenId> kPrompt = {6, 6};

/// A model given by a function: after the generated tokens so far, the probabilities of some tokens
/// (what is left over goes to token 5).
class HandMadeModel : public FakeModel {
 public:
  using Rule = std::function<std::map<TokenId, double>(std::vector<TokenId> generated)>;
  explicit HandMadeModel(Rule rule) : FakeModel(8, 64), rule_(std::move(rule)) {}
  std::vector<float> logits_after(std::span<const TokenId> context) const override {
    const auto named =
        rule_({context.begin() + static_cast<int64_t>(kPrompt.size()), context.end()});
    std::vector<float> logits(8, -std::numeric_limits<float>::infinity());
    double left = 1;
    for (const auto& [token, probability] : named) {
      logits[static_cast<size_t>(token)] = static_cast<float>(std::log(probability));
      left -= probability;
    }
    if (left > 1e-9 && !named.contains(5)) logits[5] = static_cast<float>(std::log(left));
    return logits;
  }

 private:
  Rule rule_;
};

/// Does what a script says at each step of the answer, else takes the argmax.
class ScriptedSampler : public Sampler {
 public:
  using Script = std::function<std::optional<Action>(const StepView&)>;
  explicit ScriptedSampler(Script script) : script_(std::move(script)) {}
  Decision decide(const StepView& view, SamplerState*, const Draws&) const override {
    Decision decision;
    decision.action = Emit{static_cast<TokenId>(view.statistics->argmax)};
    if (auto action = script_(view)) decision.action = *action;
    return decision;
  }

 private:
  Script script_;
};

inline GenerationResult answer(const FakeModel& model, const Sampler& sampler,
                               const std::function<void(GenerationRequest&)>& change = {},
                               EngineOptions options = {.batch = 4}) {
  const LetterTokenizer tokenizer(8);
  GenerationRequest request;
  request.prompt = kPrompt;
  request.sampler = &sampler;
  request.max_new_tokens = 6;
  request.stop_tokens = {kEnd};
  if (change) change(request);
  if (options.memory_bytes == 0) options.memory_bytes = 1 << 20;  // enough, and quickly made
  Engine engine(model, tokenizer, options);
  GenerationResult result;
  bool given = false;
  engine.run(
      [&]() -> std::optional<GenerationRequest> {
        if (std::exchange(given, true)) return std::nullopt;
        return request;
      },
      [&](GenerationResult finished) { result = std::move(finished); });
  return result;
}

inline std::vector<TokenId> ids(const GenerationResult& result) {
  std::vector<TokenId> tokens;
  for (const TokenRecord& record : result.tokens) tokens.push_back(record.token_id);
  return tokens;
}

}  // namespace surprisal::testing
