#include "samplers/entropix/defects.h"

#include <sstream>

namespace surprisal {
namespace {

constexpr std::string_view kAdaptive = "v2_jax v2_torch v3_70b v4_server";
constexpr std::string_view kAds = "ads_e982dd5 ads_f0b8ea6 ads_head";

constexpr DefectEntry kDefects[] = {
    {Defect::kMinPDead, "min_p_dead", kAdaptive,
     "min_p masks the logits after p was taken from them: no effect",
     "tokens with p < min_p p_max go, the rest is renormalised, before top_k",
     "sampler.py@e55e9a3 _sample; PR 78"},
    {Defect::kTopPInverted, "top_p_inverted", "v1 v2_jax v2_torch v3_70b v4_server",
     "p sorted upwards, dropped where the sum before it > top_p: the head goes",
     "p sorted downwards: the tail goes", "sampler.py@e55e9a3 _sample (jnp.flip before cumsum)"},
    {Defect::kPaddedAttention, "padded_attention", kAdaptive,
     "softmax and means over all cache slots; empty ones score 0",
     "over the keys the query can see", "model.py@e55e9a3 attention; issues 62, 63"},
    {Defect::kFixedKey, "fixed_key",
     "v1 v2_jax v2_torch v3_70b v4_server ads_e982dd5 ads_f0b8ea6 ads_head",
     "PRNGKey(1337) at each token (torch: one generator seeded 1337)",
     "the position's own draws, keyed by seed, question and repeat",
     "main.py@e55e9a3 calls sample without a key; engine.py@0a7f7bb"},
    {Defect::kFirstTokenArgmax, "first_token_argmax",
     "v1 v2_jax v2_torch v3_70b v4_server ads_e982dd5 ads_f0b8ea6 ads_head",
     "the first token is the argmax of the prompt's logits (servers: the best of six)",
     "the sampler chooses it too", "main.py@e55e9a3 generate; engine.py@9d41be6 prefill"},
    {Defect::kAgreementScale, "agreement_scale", "v2_jax v2_torch v3_70b",
     "A = mean over heads and slots of abs(P - mean P): disagreement, at most 2 / slots",
     "A = 1 - mean over heads of the total variation to the mean head",
     "sampler.py@e55e9a3 calculate_metrics"},
    {Defect::kHeadVarianceAsVarentropy, "head_variance_as_varentropy", kAdaptive,
     "V_a = variance over heads of their entropies (v2_torch: of one value, so 0)",
     "V_a = mean over heads of sum P (-log2 P - H)^2", "sampler.py@e55e9a3 jnp.var(axis=1)"},
    {Defect::kHardcoded2564, "hardcoded_2564", "v1 v2_jax v2_torch v3_70b v4_server ads_head",
     "token 2564, ' ...' in Llama 3's vocabulary and anything elsewhere",
     "the model's own first token of `clarifying_text`", "sampler.py@e55e9a3; optillm copies it"},
    {Defect::kHistoryAxis, "history_axis", "v1 v2_jax",
     "gen_tokens[:, -1] after joining on axis 0 is the whole answer: asks once per answer",
     "asks unless the last token was the question", "main.py@e55e9a3 jnp.concatenate"},
    {Defect::kUndefinedHistory, "undefined_history", "v3_70b",
     "gen_tokens is not defined: a NameError where the state is high/low (here an error too)",
     "asks unless the last token was the question", "sampler.py@cdb6f6f"},
    {Defect::kUnconditional2564, "unconditional_2564", "v4_server ads_head",
     "emits the clarifying token at every high/low token, also after itself",
     "samples (ads_head: keeps its token) where the last token was the question",
     "sampler.py@9d41be6 helv; sampler.py@0a7f7bb helv"},
    {Defect::kPositionGap, "position_gap",
     "v1 v2_jax v2_torch v3_70b v4_server ads_e982dd5 ads_f0b8ea6 ads_head",
     "cur_pos += 1 before the forward: the answer starts one position late",
     "positions without a gap", "main.py@e55e9a3 generate; engine.py@0a7f7bb next_pos"},
    {Defect::kBf16Metrics, "bf16_metrics", "v1 v2_jax v3_70b v4_server",
     "with `precision: bfloat16`: logits, their entropy and varentropy rounded to bfloat16",
     "float32 whatever `precision` says", "model.py@e55e9a3 returns bf16 logits"},
    {Defect::kTorchUniformRace, "torch_uniform_race", "v2_torch",
     "argmax p / q with q uniform on [0, 1): not a draw from p", "q exponential: a draw from p",
     "torch_sampler.py@e55e9a3 multinomial_sample_one"},
    {Defect::kBestOfFiveByLikelihood, "best_of_five_by_likelihood", kAdaptive,
     "of five draws the one with the best ln p + c; c is the same for all", "one draw",
     "sampler.py@e55e9a3 score_sample"},
    {Defect::kAdsNan, "ads_nan", kAds,
     "ln(ln p + 1e-8) of the chosen token: NaN, which stays in the averages", "ln p",
     "dslider.py@0a7f7bb naked_token_logprob"},
    {Defect::kAdsStaleState, "ads_stale_state", "ads_head",
     "returns the state it was given, but in high/high", "returns the new state",
     "sampler.py@0a7f7bb sample_one"},
    {Defect::kAdsLikelihoodSign, "ads_likelihood_sign", kAds,
     "ln B(alpha) is added; the average starts at +LL and is fed -LL",
     "ln B(alpha) is subtracted; starts at -LL", "dslider_utils.py@0a7f7bb docstring"},
    {Defect::kAdsHessian, "ads_hessian", kAds, "second derivative of the entropy by T with 2 mu_3",
     "with mu_3", "dslider_utils.py@0a7f7bb ent_grad_hess; numerical derivative in the tests"},
    {Defect::kAdsMixing, "ads_mixing", "ads_e982dd5",
     "mixes by 1 - 0.95^(-2.5 / KL), negative, with KL = +H(alpha) - sum E[p] l",
     "1 - 1.05^(-2.5 / KL) with KL = -H(alpha) - sum E[p] l",
     "dslider_config.py@e982dd5; dslider.py@e982dd5 kl_div"},
};

std::string names_of(EntropixVariant variant) {
  std::string names;
  for (const DefectEntry& entry : kDefects)
    if (has_defect(variant, entry)) names += (names.empty() ? "" : ", ") + std::string(entry.name);
  return names;
}

}  // namespace

std::span<const DefectEntry> entropix_defects() {
  return kDefects;
}

bool has_defect(EntropixVariant variant, const DefectEntry& entry) {
  const std::string padded = " " + std::string(entry.variants) + " ";
  const std::string name(kEntropixVariantNames[static_cast<size_t>(variant)]);
  return padded.find(" " + name + " ") != std::string::npos;
}

Fixes::Fixes(ParamReader& params, EntropixVariant variant) {
  const YAML::Node node =
      params.raw("fixes", "list of names, or text",
                 "defects to be without: names, all, none, -name; default none; this variant's: " +
                     names_of(variant));
  std::vector<std::string> words;
  const auto add_words = [&](const YAML::Node& text) {
    if (!text.IsScalar()) throw params.error("fixes", "expected names of defects");
    std::istringstream stream(text.Scalar());
    for (std::string word; stream >> word;) words.push_back(word);
  };
  if (node.IsDefined() && node.IsSequence()) {
    for (const auto& item : node) add_words(item);
  } else if (node.IsDefined()) {
    add_words(node);
  }
  for (const std::string& word : words) {
    if (word == "none") continue;
    const bool out = word.starts_with("-");
    const std::string name = out ? word.substr(1) : word;
    bool known = false;
    for (const DefectEntry& entry : kDefects) {
      if (!has_defect(variant, entry) || (name != "all" && name != entry.name)) continue;
      known = true;
      fixed_.set(static_cast<size_t>(entry.defect), !out);
    }
    if (!known)
      throw params.error(
          "fixes", "'" + name + "' is no defect of this variant; it has " + names_of(variant));
  }
  Json resolved = Json::array();
  for (const DefectEntry& entry : kDefects)
    if (has(entry.defect)) resolved.push_back(entry.name);
  params.set_resolved("fixes", std::move(resolved));
}

}  // namespace surprisal
