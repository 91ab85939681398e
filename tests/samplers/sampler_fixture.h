#pragma once

#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "samplers/sampler.h"

namespace surprisal::test {

inline constexpr float kBanned = -std::numeric_limits<float>::infinity();

inline std::unique_ptr<Sampler> sampler_of(const std::string& yaml,
                                           const SamplerContext& context = {}) {
  static const SamplerRegistry registry = builtin_samplers();
  return create_sampler(registry, parse_yaml(yaml, "test.yaml"), "sampler 'test'", "test.yaml",
                        context, nullptr);
}

/// A row of logits with everything a sampler may look at.
struct Row {
  explicit Row(std::vector<float> logits_in, std::vector<TokenId> tokens_in = {})
      : logits(std::move(logits_in)),
        tokens(std::move(tokens_in)),
        statistics(distribution_statistics(logits)) {
    view.logits = logits;
    view.statistics = &statistics;
    view.tokens = tokens;
  }
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  /// Random scores of `layers` layers with `heads` heads over `length` keys, and their statistics.
  void attend(unsigned seed, int64_t layers = 2, int64_t heads = 3, int64_t length = 20,
              int64_t slots = 64) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(-1, 2);
    per_head.resize(static_cast<size_t>(layers * heads * kHeadStatistics));
    per_layer.resize(static_cast<size_t>(layers * kLayerStatistics));
    std::vector<float> scores(static_cast<size_t>(heads * length));
    for (int64_t layer = 0; layer < layers; ++layer) {
      for (float& score : scores) score = normal(random);
      attention_layer_statistics(
          scores, heads,
          std::span(per_head).subspan(static_cast<size_t>(layer * heads * kHeadStatistics),
                                      static_cast<size_t>(heads * kHeadStatistics)),
          std::span(per_layer).subspan(static_cast<size_t>(layer * kLayerStatistics),
                                       static_cast<size_t>(kLayerStatistics)));
    }
    attention = {layers, heads, length, per_head, per_layer};
    padded = padded_attention_statistics(scores, heads, slots);
    view.attention = &attention;
    view.padded_attention = &padded;
  }

  std::vector<float> logits;
  std::vector<TokenId> tokens;
  DistributionStatistics statistics;
  std::vector<float> per_head, per_layer;
  AttentionStatistics attention;
  PaddedAttentionStatistics padded;
  StepView view;
};

inline std::vector<float> random_logits(size_t count, unsigned seed, float spread = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

/// The token of an Emit; -1 for any other decision.
inline TokenId emitted(const Decision& decision) {
  const auto* emit = std::get_if<Emit>(&decision.action);
  return emit ? emit->token : -1;
}

/// A registered sampler with no more than it must be told; "" where the build is without it.
inline std::string shortest_yaml(const std::string& type) {
  if (type != "python") return "type: " + type;
#ifdef SURPRISAL_HAS_PYTHON
  return "type: python, file: " SURPRISAL_SOURCE_DIR "/samplers/python/example_sampler.py";
#else
  return "";
#endif
}

/// Settings that make a rule act whose defaults are off.
inline std::string active_settings(const std::string& step) {
  static const std::map<std::string, std::string> active = {
      {"adaptive_p", "{target: 0.3}"},
      {"banned_tokens", "{tokens: [3, 5]}"},
      {"dry", "{multiplier: 0.8, allowed_length: 1, breakers: [[9]]}"},
      {"dynatemp", "{temp: 1, range: 0.5}"},
      {"frequency", "{frequency: 0.5}"},
      {"logit_bias", "{bias: {1: 2.0, 7: -1}}"},
      {"no_repeat_ngram", "{n: 1}"},
      {"penalties", "{repeat: 1.2, frequency: 0.1, presence: 0.2}"},
      {"presence", "{presence: 0.5}"},
      {"quadratic", "{smoothing_factor: 0.3, smoothing_curve: 1.5}"},
      {"repetition", "{repeat: 1.3}"},
      {"tail_free", "{z: 0.9}"},
      {"top_a", "{a: 0.2}"},
      {"typical", "{p: 0.8}"},
      {"xtc", "{probability: 0.5, threshold: 0.05}"},
  };
  const auto found = active.find(step);
  return found == active.end() ? "{}" : found->second;
}

/// Each line of tests/samplers/data/NAME as JSON.
inline std::vector<Json> read_cases(const std::string& name) {
  const std::string path = std::string(SURPRISAL_SOURCE_DIR) + "/tests/samplers/data/" + name;
  std::ifstream file(path);
  std::vector<Json> cases;
  for (std::string line; std::getline(file, line);) cases.push_back(parse_json(line, path));
  if (cases.empty()) throw Error(ErrorCode::kIo, path + ": no cases");
  return cases;
}

}  // namespace surprisal::test
