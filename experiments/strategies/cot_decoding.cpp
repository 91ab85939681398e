#include "experiments/strategies/cot_decoding.h"

#include <algorithm>
#include <deque>

#include "experiments/forwarding_sampler.h"
#include "samplers/greedy.h"

namespace surprisal {
namespace {

bool is_digit(const std::string& text, size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

/// Where `wanted` stands last in `text`, which may have commas between its characters ("1,234"),
/// and is not a part of a longer number.
std::optional<TextSpan> last_occurrence(const std::string& text, const std::string& wanted) {
  for (size_t begin = text.size(); begin-- > 0;) {
    size_t at = begin, matched = 0;
    while (at < text.size() && matched < wanted.size()) {
      if (text[at] == wanted[matched])
        ++matched;
      else if (text[at] != ',' || matched == 0)
        break;
      ++at;
    }
    const bool is_part = is_digit(text, at) || (begin > 0 && is_digit(text, begin - 1));
    if (matched == wanted.size() && matched > 0 && !is_part)
      return TextSpan{static_cast<int64_t>(begin), static_cast<int64_t>(at)};
  }
  return std::nullopt;
}

/// Begins with the token of a given rank, then goes on as the sampler would.
class OpensWith : public ForwardingSampler {
 public:
  OpensWith(const Sampler& sampler, size_t rank) : ForwardingSampler(sampler), rank_(rank) {}
  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    if (!view.generated().empty()) return ForwardingSampler::decide(view, state, draws);
    const auto ranked = view.top(rank_ + 1);
    return forced_decision(view, ranked.at(std::min(rank_, ranked.size() - 1)).index,
                           ActionKind::kBranch);
  }

 private:
  size_t rank_;
};

class FirstTokens : public Panel {
 public:
  FirstTokens(const GenerationRequest& request, int64_t k, bool aggregate,
              const Tokenizer& tokenizer)
      : request_(request), k_(k), aggregate_(aggregate), tokenizer_(tokenizer) {}

  std::vector<GenerationRequest> next(const std::vector<GenerationResult>& answers) override {
    if (!answers.empty()) return {};
    std::vector<GenerationRequest> requests = member_requests(request_, k_);
    for (size_t rank = 0; rank < requests.size(); ++rank)
      requests[rank].sampler = &samplers_.emplace_back(*request_.sampler, rank);
    return requests;
  }
  Choice choose(const std::vector<GenerationResult>& answers) const override {
    const std::vector<std::string> results = extracted_answers(request_, answers);
    Choice choice;
    for (size_t i = 0; i < answers.size(); ++i)
      choice.scores.push_back(answer_margin(answers[i], results[i], tokenizer_));
    choice.best =
        aggregate_
            ? weighted_vote(results, choice.scores)
            : static_cast<size_t>(std::ranges::max_element(choice.scores) - choice.scores.begin());
    return choice;
  }

 private:
  GenerationRequest request_;
  int64_t k_;
  bool aggregate_;
  const Tokenizer& tokenizer_;
  std::deque<OpensWith> samplers_;
};

}  // namespace

double answer_margin(const GenerationResult& answer, const std::string& result,
                     const Tokenizer& tokenizer) {
  const std::optional<TextSpan> place = last_occurrence(answer.response, result);
  if (!place) return 0;
  TextStream stream(tokenizer, /*skip_special=*/true);
  double sum = 0;
  int64_t count = 0, end = 0;
  for (const TokenRecord& token : answer.tokens) {
    const int64_t begin = end;
    end += static_cast<int64_t>(stream.push(token.token_id).size());
    if (end <= place->begin || begin >= place->end) continue;
    sum += token.max_probability - token.second_probability;
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

std::unique_ptr<Panel> CotDecoding::convene(const GenerationRequest& request,
                                            const Tokenizer& tokenizer) const {
  return std::make_unique<FirstTokens>(request, k_, aggregate_, tokenizer);
}

StrategyEntry CotDecoding::entry() {
  return {"an answer for each of the k most likely first tokens; the surest of its result is kept",
          [](ParamReader& params) {
            const int64_t k =
                params.integer("k", 10, {.min = 1, .max = 4096}, "answers", "first tokens");
            const bool aggregate = params.boolean(
                "aggregate", false, "equal results add up instead of the surest single answer");
            return std::make_unique<CotDecoding>(k, aggregate, read_vote_scorer(params));
          }};
}

}  // namespace surprisal
