#include "samplers/steps/penalties.h"

#include <algorithm>
#include <map>
#include <optional>

namespace surprisal {
namespace {

constexpr int64_t kLlamaWindow = 64;

struct Amounts {
  double repeat = 1, frequency = 0, presence = 0;
};

class Penalties : public ChainStep {
 public:
  Penalties(const Amounts& amounts, std::optional<int64_t> last_n, bool llama)
      : amounts_(amounts), last_n_(last_n), llama_(llama) {}

  void apply(Candidates& candidates, const StepContext& context, SamplerState*) const override {
    const StepView& view = context.view;
    if (amounts_.repeat != 1)
      penalize(candidates, view.tokens, [&](double logit, int64_t) {
        return logit > 0 ? logit / amounts_.repeat : logit * amounts_.repeat;
      });
    if (amounts_.frequency != 0 || amounts_.presence != 0)
      penalize(candidates, llama_ ? view.tokens : view.generated(), [&](double logit, int64_t n) {
        return logit - static_cast<double>(n) * amounts_.frequency - amounts_.presence;
      });
  }

 private:
  template <typename Change>
  void penalize(Candidates& candidates, std::span<const TokenId> scope, Change change) const {
    if (last_n_) {
      const auto window = static_cast<size_t>(std::max<int64_t>(0, *last_n_));
      scope = scope.last(std::min(window, scope.size()));
    }
    std::map<TokenId, int64_t> counts;
    for (const TokenId token : scope) ++counts[token];
    if (!counts.empty()) candidates.transform(counts, change);
  }

  Amounts amounts_;
  std::optional<int64_t> last_n_;
  bool llama_;
};

double read_repeat(ParamReader& params) {
  return params.number("repeat", 1, {.min = 0, .min_exclusive = true}, "",
                       "r: positive logits are divided, negative multiplied by it; 1 is off");
}
double read_frequency(ParamReader& params) {
  return params.number("frequency", 0, {}, "nats", "f: subtracted for each occurrence");
}
double read_presence(ParamReader& params) {
  return params.number("presence", 0, {}, "nats", "q: subtracted once");
}

StepEntry entry(const char* summary, const char* main_parameter,
                std::function<Amounts(ParamReader&)> read) {
  return {
      StepStage::kEdit, summary, main_parameter,
      [read](ParamReader& params, const StepBuild& build) {
        const bool llama = build.dialect == Dialect::kLlama;
        const Amounts amounts = read(params);
        constexpr const char* kMeaning =
            "how many of the last tokens count; 0 is off; absent: 64 in dialect llama, else all";
        std::optional<int64_t> last_n = params.optional_integer("last_n", {}, "tokens", kMeaning);
        if (!last_n && llama) last_n = kLlamaWindow;
        return std::make_unique<Penalties>(amounts, last_n, llama);
      },
      "llama looks at the last 64 tokens, prompt included; hf and vllm at the whole context for "
      "repetition and at the answer for frequency and presence"};
}

}  // namespace

StepEntry frequency_step() {
  return entry("l -= n f, n the token's occurrences", "frequency",
               [](ParamReader& params) { return Amounts{.frequency = read_frequency(params)}; });
}

StepEntry penalties_step() {
  return entry("repetition, frequency and presence in one step (llama.cpp)", "",
               [](ParamReader& params) {
                 return Amounts{read_repeat(params), read_frequency(params), read_presence(params)};
               });
}

StepEntry presence_step() {
  return entry("l -= q where the token occurs", "presence",
               [](ParamReader& params) { return Amounts{.presence = read_presence(params)}; });
}

StepEntry repetition_step() {
  return entry("l / r where l > 0, else l r, where the token occurs (arXiv 1909.05858)", "repeat",
               [](ParamReader& params) { return Amounts{.repeat = read_repeat(params)}; });
}

}  // namespace surprisal
