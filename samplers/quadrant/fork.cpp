#include "samplers/quadrant/fork.h"

#include <cmath>

namespace surprisal {

std::vector<TokenId> ForkPredicate::alternatives(const StepView& view) const {
  const DistributionStatistics& statistics = *view.statistics;
  const double least = ratio * statistics.max_probability;
  if (statistics.second_probability < least || statistics.second_probability == 0) return {};
  double covered = 0;
  std::vector<TokenId> tokens;
  for (const auto& [index, logit] : view.top(static_cast<size_t>(max_tokens) + 1)) {
    const double p = std::exp(logit - statistics.log_sum_exp);
    if (p < least) break;
    tokens.push_back(index);
    covered += p;
  }
  const bool is_fork =
      tokens.size() >= 2 && tokens.size() <= static_cast<size_t>(max_tokens) && covered >= mass;
  return is_fork ? tokens : std::vector<TokenId>{};
}

ForkPredicate read_fork_predicate(ParamReader& params) {
  ForkPredicate fork{};
  params.map("fork", "when a distribution counts as a fork", [&](ParamReader& map) {
    fork.max_tokens = map.integer("max_tokens", 4, {.min = 2, .max = 64}, "tokens",
                                  "at most so many alternatives");
    fork.ratio = map.number("ratio", 0.25, {.min = 0, .max = 1, .min_exclusive = true}, "",
                            "an alternative has at least this share of the largest probability");
    fork.mass =
        map.number("mass", 0.8, {.min = 0, .max = 1}, "", "the alternatives cover at least this");
  });
  return fork;
}

}  // namespace surprisal
