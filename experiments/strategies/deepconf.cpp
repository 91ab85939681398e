#include "experiments/strategies/deepconf.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>

#include "experiments/forwarding_sampler.h"
#include "experiments/statistics/resampling.h"

namespace surprisal {
namespace {

double mean_of(std::span<const double> values) {
  return values.empty() ? 0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

double token_confidence(const StepView& view, int64_t top) {
  double sum = 0;
  int64_t count = 0;
  for (const auto& [index, logit] : view.top(static_cast<size_t>(top))) {
    if (!std::isfinite(logit)) break;
    sum += logit - view.statistics->log_sum_exp;
    ++count;
  }
  return -sum / static_cast<double>(count);
}

/// Notes the confidence before each token of one answer, and may end it for want of it.
class Watched : public ForwardingSampler {
 public:
  /// @param bar  -infinity: never stopped
  Watched(const Sampler& sampler, const ConfidenceRule& rule, double bar)
      : ForwardingSampler(sampler), rule_(rule), bar_(bar) {}

  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    const size_t place = view.generated().size();
    while (!places_.empty() &&
           places_.back() >= place) {  // a rewind takes back what was noted, too
      places_.pop_back();
      confidences_.pop_back();
    }
    places_.push_back(place);
    confidences_.push_back(token_confidence(view, rule_.top));
    const auto window = static_cast<size_t>(rule_.window);
    if (confidences_.size() >= window && mean_of(std::span(confidences_).last(window)) < bar_) {
      Decision decision;
      decision.action = Stop{"confidence fell below the bar"};
      decision.kind = ActionKind::kStop;
      return decision;
    }
    return ForwardingSampler::decide(view, state, draws);
  }
  /// Of the tokens it decided on: injected ones and those of branches have none.
  const std::vector<double>& confidences() const { return confidences_; }

 private:
  const ConfidenceRule& rule_;
  double bar_;
  mutable std::vector<size_t> places_;
  mutable std::vector<double> confidences_;
};

class ConfidentVote : public Panel {
 public:
  ConfidentVote(const GenerationRequest& request, const DeepConf::Options& options)
      : request_(request), options_(options) {}

  std::vector<GenerationRequest> next(const std::vector<GenerationResult>& answers) override {
    const auto done = static_cast<int64_t>(answers.size());
    int64_t until = options_.n;
    if (options_.online && done == 0) until = std::min(until, options_.warmup);
    if (options_.online && done > 0 && done < until) bar_ = warmup_bar();
    std::vector<GenerationRequest> requests;
    for (int64_t member = done; member < until; ++member) {
      requests.push_back(member_request(request_, static_cast<size_t>(member)));
      requests.back().sampler = &watched_.emplace_back(*request_.sampler, options_.rule, bar_);
    }
    return requests;
  }

  Choice choose(const std::vector<GenerationResult>& answers) const override {
    Choice choice;
    for (const Watched& one : watched_)
      choice.scores.push_back(options_.rule.of(one.confidences()));
    std::vector<double> weights = choice.scores;
    const double least = options_.online ? 0 : percentile(choice.scores, 1 - options_.keep);
    for (size_t i = 0; i < weights.size(); ++i)
      if (options_.online ? lowest(watched_[i]) < bar_ : weights[i] < least) weights[i] = 0;
    const std::vector<std::string> results = extracted_answers(request_, answers);
    choice.best = weighted_vote(results, weights);
    if (results[choice.best].empty() || weights[choice.best] <= 0)  // nobody may vote
      choice.best =
          static_cast<size_t>(std::ranges::max_element(choice.scores) - choice.scores.begin());
    return choice;
  }

 private:
  double lowest(const Watched& one) const {
    const std::vector<double> groups = options_.rule.groups(one.confidences());
    return groups.empty() ? 0 : *std::ranges::min_element(groups);
  }
  static double percentile(std::vector<double> values, double share) {
    std::ranges::sort(values);
    return sorted_quantile(values, share);
  }
  double warmup_bar() const {
    std::vector<double> lowest_groups;
    for (const Watched& one : watched_) lowest_groups.push_back(lowest(one));
    return percentile(lowest_groups, options_.percentile / 100);
  }

  GenerationRequest request_;
  const DeepConf::Options& options_;
  std::deque<Watched> watched_;
  double bar_ = -std::numeric_limits<double>::infinity();
};

}  // namespace

std::vector<double> ConfidenceRule::groups(std::span<const double> confidences) const {
  if (confidences.empty()) return {};
  const size_t width = std::min(static_cast<size_t>(window), confidences.size());
  std::vector<double> means;
  for (size_t begin = 0; begin + width <= confidences.size(); ++begin)
    means.push_back(mean_of(confidences.subspan(begin, width)));
  return means;
}

double ConfidenceRule::of(std::span<const double> confidences) const {
  if (confidences.empty()) return 0;
  if (measure == Measure::kMean) return mean_of(confidences);
  if (measure == Measure::kTail)
    return mean_of(confidences.last(std::min(static_cast<size_t>(window), confidences.size())));
  std::vector<double> means = groups(confidences);
  std::ranges::sort(means);
  if (measure == Measure::kLowest) return means.front();
  const auto lowest = static_cast<size_t>(static_cast<double>(means.size()) * bottom);
  return mean_of(std::span(means).first(std::max<size_t>(1, lowest)));
}

std::unique_ptr<Panel> DeepConf::convene(const GenerationRequest& request, const Tokenizer&) const {
  return std::make_unique<ConfidentVote>(request, options_);
}

StrategyEntry DeepConf::entry() {
  return {"answers vote weighted by their confidence; online: unsure ones are stopped early",
          [](ParamReader& params) {
            Options options;
            const Range count{.min = 1, .max = 4096};
            options.n = params.integer("n", options.n, count, "answers", "in all");
            options.online =
                params.choice("mode", "offline", {"offline", "online"},
                              "online: warm-up answers set a bar, later ones are stopped below "
                              "it") == "online";
            options.keep = params.number("keep", 1, {.min = 0, .max = 1, .min_exclusive = true}, "",
                                         "offline: share of the surest answers that vote");
            options.warmup = params.integer("warmup", options.warmup, count, "answers",
                                            "online: whole answers that set the bar");
            if (options.online && options.warmup >= options.n)
              throw params.error("warmup", "must be less than n: nothing would be left to stop");
            options.percentile =
                params.number("percentile", 10, {.min = 0, .max = 100}, "%",
                              "online: the bar is this percentile of the warm-up's lowest groups");
            options.rule.window =
                params.integer("window", 2048, {.min = 1, .max = 1e6}, "tokens", "of a group");
            options.rule.top = params.integer("top", 20, {.min = 1, .max = 1000}, "tokens",
                                              "whose mean ln p makes a token's confidence");
            const std::vector<std::string> measures = {"mean", "tail", "bottom", "lowest"};
            const std::string measure = params.choice(
                "weight", "lowest", measures,
                "confidence of an answer: of all tokens, the last window, the lowest groups, the "
                "lowest group");
            options.rule.measure = static_cast<ConfidenceRule::Measure>(
                std::ranges::find(measures, measure) - measures.begin());
            options.rule.bottom = params.number("bottom", 0.1, {.min = 0, .max = 1}, "",
                                                "weight bottom: share of the groups");
            options.scorer = read_vote_scorer(params);
            return std::make_unique<DeepConf>(options);
          }};
}

}  // namespace surprisal
