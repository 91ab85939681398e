#include "samplers/entropix/variant.h"

#include <algorithm>
#include <cmath>

#include "samplers/greedy.h"

namespace surprisal {
namespace {

constexpr TokenId kEllipsis = 2564;  // " ..." in Llama 3's vocabulary

}  // namespace

std::string entropix_label(const SamplerContext& context) {
  const Tokenizer* tokenizer = context.tokenizer;
  if (tokenizer == nullptr) return {};
  const bool is_llama3 = tokenizer->vocab_size() > kEllipsis &&
                         tokenizer->decode(std::span<const TokenId>(&kEllipsis, 1)) == " ...";
  return is_llama3 ? "" : "untuned port";
}

TokenId read_clarifying_token(ParamReader& params, const SamplerContext& context,
                              const Fixes& fixes) {
  const auto token = static_cast<TokenId>(
      params.integer("clarifying_token", kEllipsis, {.min = 0, .max = 0x7fffffff}, "token id",
                     "high/low: emitted; the default is ' ...' in Llama 3's vocabulary"));
  const std::string text = params.string(
      "clarifying_text", " ...", "high/low, with hardcoded_2564 fixed: its first token is emitted");
  if (fixes.has(Defect::kHardcoded2564) && context.tokenizer != nullptr) {
    const auto tokens = context.tokenizer->encode(text, false, false);
    if (tokens.empty()) throw params.error("clarifying_text", "expected a text with a token");
    return tokens.front();
  }
  if (context.vocab_size > 0 && token >= context.vocab_size)
    throw params.error("clarifying_token", "token " + std::to_string(token) +
                                               " is outside the model's vocabulary of " +
                                               std::to_string(context.vocab_size) +
                                               "; set it, or use fixes: [hardcoded_2564]");
  return token;
}

EntropixRaceSampler::EntropixRaceSampler(ParamReader& params, const SamplerContext& context,
                                         EntropixVariant variant)
    : variant_(variant),
      reads_attention_(variant != EntropixVariant::kV1),
      label_(entropix_label(context)) {
  const Fixes fixes(params, variant);
  rules_.fixes = metrics_.fixes = fixes;
  clarifying_token_ = read_clarifying_token(params, context, fixes);
  const bool torch = variant == EntropixVariant::kV2Torch;
  if (!torch)
    metrics_.bf16 = params.choice("precision", "float32", {"float32", "bfloat16"},
                                  "of the logits as the variant sees them; its own runs had "
                                  "bfloat16") == "bfloat16" &&
                    !fixed(Defect::kBf16Metrics);
  if (reads_attention_)
    metrics_.cache_slots =
        params.integer("cache_slots", 4096, {.min = 1, .max = 1 << 20}, "slots",
                       "length of the cache whose empty slots enter the attention metrics");
  metrics_.no_head_variance = torch;
}

Needs EntropixRaceSampler::needs() const {
  Needs needs = reads_attention_ ? metrics_.needs() : Needs{};
  needs.position_gap = !fixed(Defect::kPositionGap);
  return needs;
}

std::unique_ptr<SamplerState> EntropixRaceSampler::start() const {
  if (variant_ != EntropixVariant::kV2Torch) return nullptr;
  return std::make_unique<TorchGenerator>();
}

Decision EntropixRaceSampler::decide(const StepView& view, SamplerState* state,
                                     const Draws& draws) const {
  std::vector<float> rounded;
  DistributionStatistics statistics;
  StepView seen = view;
  if (metrics_.bf16) {
    rounded.resize(view.logits.size());
    std::transform(view.logits.begin(), view.logits.end(), rounded.begin(), to_bf16);
    statistics = distribution_statistics(rounded);
    seen.logits = rounded;
    seen.statistics = &statistics;
    seen.shared = nullptr;  // it is about the row as it was
  }
  if (view.generated().empty() && !fixed(Defect::kFirstTokenArgmax))
    return argmax_decision(seen);  // its main() bypasses the sampler
  RaceNoise noise;
  noise.uniform = variant_ == EntropixVariant::kV2Torch && !fixed(Defect::kTorchUniformRace);
  if (fixed(Defect::kFixedKey))
    noise.draws = &draws;
  else
    noise.generator = static_cast<TorchGenerator*>(state);
  const EntropixMetrics metrics =
      reads_attention_ ? entropix_metrics(seen, metrics_) : logits_metrics(seen, metrics_);
  Decision decision = decide_by_state({seen, noise, metrics});
  record_metrics(metrics, decision);
  decision.threshold_margin = nearest_margin(metrics);
  return decision;
}

std::optional<std::string> EntropixRaceSampler::refuses_repeats() const {
  if (fixed(Defect::kFixedKey)) return std::nullopt;
  return "entropix " + std::string(kEntropixVariantNames[static_cast<size_t>(variant_)]) +
         (variant_ == EntropixVariant::kV2Torch
              ? " starts its generator at seed 1337 for every answer"
              : " draws every token with the same random key, PRNGKey(1337)") +
         ": all repeats would be the same answer; fixes: [fixed_key] gives it draws of its own";
}

bool EntropixRaceSampler::has_asked(const StepView& view) const {
  const auto generated = view.generated();
  if (generated.empty()) return false;
  const bool whole_answer = variant_ == EntropixVariant::kV1 || variant_ == EntropixVariant::kV2Jax;
  if (whole_answer && !fixed(Defect::kHistoryAxis))
    return std::find(generated.begin(), generated.end(), clarifying_token_) != generated.end();
  return generated.back() == clarifying_token_;
}

std::optional<Decision> EntropixRaceSampler::clarify(const StepView& view) const {
  if (!can_emit(view, clarifying_token_)) return std::nullopt;
  return forced_decision(view, clarifying_token_, ActionKind::kThink);
}

Decision EntropixRaceSampler::in_state(State state, Decision decision) {
  decision.state = state;
  return decision;
}

Decision EntropixRaceSampler::sample(const Moment& moment, const RaceSettings& settings) const {
  const RaceDistribution distribution(moment.view, settings, rules_);
  const TokenId token = distribution.draw(moment.noise);
  Decision decision;
  decision.action = Emit{token};
  decision.kind = ActionKind::kChain;
  distribution.record(token, moment.view, decision);
  return decision;
}

Decision EntropixRaceSampler::best_of(const Moment& moment, const RaceSettings& settings,
                                      int64_t count, float confidence) const {
  if (fixed(Defect::kBestOfFiveByLikelihood)) {
    Decision decision = sample(moment, settings);
    decision.kind = ActionKind::kAdaptive;
    return decision;
  }
  const RaceDistribution distribution(moment.view, settings, rules_);
  const auto draws = static_cast<size_t>(count);
  TokenId best = -1;
  float best_score = 0;
  for (size_t i = 0; i < draws; ++i) {
    const TokenId token = distribution.draw(moment.noise, i, draws);
    const double log_probability =
        moment.view.logits[static_cast<size_t>(token)] - moment.view.statistics->log_sum_exp;
    const float score = static_cast<float>(log_probability) + confidence;
    if (best < 0 || score > best_score) {
      best_score = score;
      best = token;
    }
  }
  Decision decision;
  decision.action = Emit{best};
  decision.kind = ActionKind::kAdaptive;
  distribution.record(best, moment.view, decision);
  return decision;
}

}  // namespace surprisal
