#pragma once

#include <limits>
#include <string>

#include "experiments/sample.h"

namespace surprisal::testing {

/// A sample that uses every field: an injected thought, events, branches, nodes. Figures are made
/// up from `number`, so that two samples differ everywhere.
inline Sample example_sample(const std::string& cell, int64_t number, int64_t repeat = 0) {
  Sample sample;
  sample.cell = cell;
  sample.doc_id = number;
  sample.repeat = repeat;
  sample.seed = (uint64_t{1} << 53) - 1;
  sample.question_sha256 = "q" + std::to_string(number);
  sample.prompt = "Q: " + std::to_string(number) + "?\nA:";
  sample.response = "Ein Ü. Wait, 42";
  sample.foreign = {{7, 13}};
  sample.target = "42";
  sample.tags = {{"level", 2}, {"template_id", "apples"}};
  sample.score = {"42", "42", "[invalid]", true, true, number % 2 == 0, true};
  sample.stop_reason = StopReason::kStopString;
  sample.prompt_tokens = 5;
  sample.generated_tokens = 3;
  sample.injected_tokens = 1;
  sample.discarded_tokens = 2;
  sample.interventions = 2;
  sample.cost = {10, 1.5e9, 4};
  const auto token = [&](int32_t position, TokenSource source) {
    TokenRecord record;
    record.position = position;
    record.token_id = static_cast<TokenId>(100 * number + position);
    record.node = position - 5;
    record.source = source;
    record.state = State::kHighLow;
    record.action = ActionKind::kThink;
    record.gate = Gate::kPassed;
    record.entropy = 0.5F + static_cast<float>(position);
    record.varentropy = 0.25F;
    record.max_probability = 0.75F;
    record.second_probability = 0.125F;
    record.logprob = -0.5F;
    record.rank = 1;
    record.sampling_logprob =
        source == TokenSource::kSampled ? -0.25F : std::numeric_limits<float>::quiet_NaN();
    record.kept = 3;
    record.temperature = 0.7F;
    record.attention_entropy = 1.5F;
    return record;
  };
  for (int32_t i = 0; i < 3; ++i) {
    sample.tokens.push_back(token(5 + i, i == 1 ? TokenSource::kInjected : TokenSource::kSampled));
    NodeRecord node;
    node.parent = i - 1;
    node.token_id = i == 0 ? -1 : sample.tokens[static_cast<size_t>(i - 1)].token_id;
    node.top_k_token_id = {7, 8};
    node.top_k_logprob = {-0.25F, -2};
    node.tail_mass = 0.0625F;
    node.attention_entropy = {1, 2, 3, 4};  // [L = 2, H = 2]
    node.attention_varentropy = {5, 6, 7, 8};
    node.attention_agreement = {0.5F, 0.25F};
    node.logits_f16 = {0x3C00, 0xC000, 0x0000};                      // 1, -2, 0
    node.maps_f16.assign(static_cast<size_t>(4 * (i + 5)), 0x3800);  // [L, H, 5 + i] of 0.5
    sample.nodes.push_back(node);
  }
  sample.events = {{6, EventKind::kThink, " Wait,"}, {7, EventKind::kBranch, "{\"kept\":0}"}};
  BranchRecord lost{7, 9, 2, 1.5F, 0.5F, -0.75F, -0.75F, false, " nine", {}};
  lost.tokens = {token(7, TokenSource::kBranch), token(8, TokenSource::kSampled)};
  sample.branches = {{7, 8, 2, 1, 0.25F, -0.5F, -0.5F, true, " eight", {}}, lost};
  return sample;
}

}  // namespace surprisal::testing
