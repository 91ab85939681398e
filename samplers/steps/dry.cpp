#include "samplers/steps/dry.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "samplers/read_token.h"

namespace surprisal {
namespace {

constexpr int64_t kLlamaWindow = 64;
constexpr size_t kLongestMatch = 50;
constexpr double kLargestPenaltyLog = 88.7;  // of a float32

using Breakers = std::set<std::vector<TokenId>>;

struct Settings {
  double multiplier, base;
  size_t allowed_length;
  std::optional<int64_t> last_n;
  bool llama;
};

class Dry : public ChainStep {
 public:
  Dry(const Settings& settings, Breakers breakers)
      : settings_(settings), breakers_(std::move(breakers)) {}

  void apply(Candidates& candidates, const StepContext& context, SamplerState*) const override {
    if (settings_.multiplier == 0 || settings_.base < 1) return;
    const auto tokens = window(context.view.tokens);
    const size_t limit = since_breaker(tokens);
    if (tokens.size() < 2 || limit < std::max(settings_.allowed_length, least_match())) return;
    std::map<TokenId, size_t> longest;  // token -> longest match it would extend
    const std::vector<size_t> matches = suffix_matches(tokens, limit);
    for (size_t end = 1; end < tokens.size(); ++end) {
      const size_t length = matches[end - 1];
      if (length < std::max(settings_.allowed_length, least_match())) continue;
      if (breakers_.contains({tokens[end]})) continue;
      size_t& known = longest[tokens[end]];
      known = std::max(known, length);
    }
    if (longest.empty()) return;
    candidates.transform(longest, [&](double logit, size_t length) {
      return logit - settings_.multiplier * std::pow(settings_.base, exponent(length));
    });
  }

 private:
  std::span<const TokenId> window(std::span<const TokenId> tokens) const {
    if (!settings_.last_n) return tokens;
    const auto n = static_cast<size_t>(std::max<int64_t>(0, *settings_.last_n));
    return tokens.last(std::min(n, tokens.size()));
  }

  /// llama penalises any token of the window where allowed_length is 0.
  size_t least_match() const { return settings_.llama ? 0 : 1; }

  /// How many tokens follow the last breaker; all of them where there is none.
  size_t since_breaker(std::span<const TokenId> tokens) const {
    size_t nearest = tokens.size();
    for (const auto& breaker : breakers_)
      for (size_t end = tokens.size(); end >= breaker.size() && tokens.size() - end < nearest;
           --end)
        if (std::equal(breaker.begin(), breaker.end(),
                       tokens.begin() + static_cast<ptrdiff_t>(end - breaker.size())))
          nearest = tokens.size() - end;
    return nearest;
  }

  /// For each place, how many tokens up to and including it equal the end of the context; at most
  /// `limit`. The Z-algorithm on the reversed context: linear, whatever repeats.
  static std::vector<size_t> suffix_matches(std::span<const TokenId> tokens, size_t limit) {
    const size_t count = tokens.size();
    const auto back = [&](size_t i) { return tokens[count - 1 - i]; };
    std::vector<size_t> z(count, 0), matches(count, 0);
    for (size_t i = 1, left = 0, right = 0; i < count; ++i) {
      if (i < right) z[i] = std::min(right - i, z[i - left]);
      while (i + z[i] < count && back(z[i]) == back(i + z[i])) ++z[i];
      if (i + z[i] > right) left = i, right = i + z[i];
      matches[count - 1 - i] = std::min(z[i], limit);
    }
    return matches;
  }

  double exponent(size_t length) const {
    if (!settings_.llama) length = std::min(length, kLongestMatch);
    const auto over = static_cast<double>(length) - static_cast<double>(settings_.allowed_length);
    if (!settings_.llama || settings_.base <= 1.000001) return over;
    return std::min(over, std::floor(kLargestPenaltyLog / std::log(settings_.base)));
  }

  Settings settings_;
  Breakers breakers_;
};

/// The token sequences that a breaker's text stands for.
void add_text(const std::string& text, const Tokenizer& tokenizer, bool llama, Breakers& out) {
  const std::vector<TokenId> encoded = tokenizer.encode(text, false, false);
  if (!llama) {
    if (!encoded.empty()) out.insert({encoded.back()});
    return;
  }
  if (!encoded.empty()) out.insert(encoded);
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.piece(id).bytes.find(text) != std::string::npos) out.insert({id});
}

Breakers read_breakers(ParamReader& params, const StepBuild& build) {
  const YAML::Node list = params.raw("breakers", "list of texts and lists of token ids",
                                     "what a repetition does not reach across; default: line "
                                     "break, colon, double quote, asterisk");
  const Tokenizer* tokenizer = build.sampler.tokenizer;
  const bool llama = build.dialect == Dialect::kLlama;
  Breakers breakers;
  Json resolved = Json::array();
  if (!list.IsDefined()) {
    for (const std::string text : {"\n", ":", "\"", "*"}) {
      resolved.push_back(text);
      if (tokenizer) add_text(text, *tokenizer, llama, breakers);
    }
  } else if (!list.IsSequence()) {
    throw params.error("breakers", "expected a list");
  }
  for (const auto& item : list) {
    if (item.IsSequence()) {
      std::vector<TokenId> ids;
      for (const auto& id : item)
        ids.push_back(
            read_token(id.IsScalar() ? id.Scalar() : "a list", "breakers", params, build.sampler));
      if (ids.empty()) throw params.error("breakers", "expected token ids in each list");
      resolved.push_back(ids);
      breakers.insert(std::move(ids));
    } else if (item.IsScalar() && !item.Scalar().empty()) {
      if (!tokenizer)
        throw params.error("breakers", "texts need a model's tokenizer; expected token ids here");
      resolved.push_back(item.Scalar());
      add_text(item.Scalar(), *tokenizer, llama, breakers);
    } else {
      throw params.error("breakers", "expected texts or lists of token ids");
    }
  }
  params.set_resolved("breakers", std::move(resolved));
  return breakers;
}

}  // namespace

StepEntry dry_step() {
  return {StepStage::kEdit,
          "l -= multiplier base^(L - allowed_length), L the repetition the token would extend "
          "(text-generation-webui PR 5677)",
          "multiplier",
          [](ParamReader& params, const StepBuild& build) {
            Settings settings{};
            settings.llama = build.dialect == Dialect::kLlama;
            settings.multiplier = params.number("multiplier", 0, {.min = 0}, "nats", "0 is off");
            settings.base = params.number("base", 1.75, {.min = 1}, "",
                                          "factor of the penalty per further token");
            settings.allowed_length = static_cast<size_t>(
                params.integer("allowed_length", 2, {.min = 0, .max = 1e6}, "tokens",
                               "repetitions shorter than this are free"));
            settings.last_n = params.optional_integer(
                "last_n", {}, "tokens",
                "how many of the last tokens count; 0 is off; absent: 64 in dialect llama, else "
                "all");
            if (!settings.last_n && settings.llama) settings.last_n = kLlamaWindow;
            return std::make_unique<Dry>(settings, read_breakers(params, build));
          },
          "llama looks at 64 tokens and takes every token that contains a breaker; hf and"
          " vllm at all, and the last token of its encoding; L is clamped where float32 "
          "ends (llama), at 50 (others)"};
}

}  // namespace surprisal
