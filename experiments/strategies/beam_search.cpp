#include "experiments/strategies/beam_search.h"

#include <algorithm>

#include "experiments/strategies/search.h"

namespace surprisal {
namespace {

class BeamJob : public Search {
 public:
  BeamJob(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
          const TokenCallback& on_token, const BeamSearch::Options& options)
      : Search(std::move(request), tree, setting, on_token),
        options_(options),
        width_(options.beams) {
    live_.push_back(root());
  }

  std::vector<TokenNode*> waiting_at() override {
    std::vector<TokenNode*> nodes;
    for (const Hypothesis& one : live_)
      if (!is_known(one)) nodes.push_back(&one.walk.node());
    return nodes;
  }

 private:
  struct Extension {
    size_t hypothesis;
    TokenId token;
    double logprob;  ///< of the hypothesis with the token
  };

  bool go_on() override {
    if (!std::ranges::all_of(live_, [&](const Hypothesis& one) { return is_known(one); }))
      return false;
    for (const Hypothesis& one : live_) ledger_.visit(one.walk.node());
    ledger_.step();
    extend();
    if (is_over()) choose();
    return true;
  }

  /// The best ways to go on, the best first; of equals the earlier hypothesis, the lower token.
  std::vector<Extension> extensions() const {
    const size_t wanted =
        static_cast<size_t>(width_) * std::max<size_t>(2, 1 + request_.stop_tokens.size());
    std::vector<Extension> all;
    for (size_t h = 0; h < live_.size(); ++h) {
      const Evaluation& here = live_[h].walk.evaluation();
      const auto ranked = here.shared.top(here.logits, wanted);  // or more
      for (const auto& [token, logit] : ranked.first(std::min(wanted, ranked.size())))
        all.push_back({h, token, live_[h].logprob + logit - here.statistics.log_sum_exp});
    }
    std::ranges::stable_sort(all, std::ranges::greater(), &Extension::logprob);
    if (all.size() > wanted) all.resize(wanted);
    return all;
  }

  void extend() {
    if (!may_spend()) width_ = 1;
    const auto beams = static_cast<size_t>(width_);
    std::vector<Hypothesis> next;
    std::vector<bool> goes_on(live_.size());
    const std::vector<Extension> all = extensions();
    for (size_t rank = 0; rank < all.size() && next.size() < beams; ++rank) {
      const bool ends = request_.ends_at(all[rank].token);
      if (ends && rank >= beams) continue;
      const Hypothesis& from = live_[all[rank].hypothesis];
      Hypothesis longer{.walk = from.walk, .logprob = from.logprob, .scored = from.scored};
      Decision decision;
      decision.kind = ActionKind::kBranch;
      decision.temperature = 0;
      decision.kept = 1;
      take(longer, all[rank].token, decision);
      if (longer.ended == StopReason::kStopString && rank >= beams) continue;
      goes_on[all[rank].hypothesis] = true;
      (longer.ended ? ended_ : next).push_back(std::move(longer));
    }
    for (size_t h = 0; h < live_.size(); ++h)
      if (!goes_on[h]) give_up(live_[h], score(live_[h]));
    live_ = std::move(next);
    std::ranges::stable_sort(ended_, std::ranges::greater(),
                             [&](const Hypothesis& one) { return score(one); });
    while (ended_.size() > beams) {
      give_up(ended_.back(), score(ended_.back()));
      ended_.pop_back();
    }
  }

  bool is_over() const {
    if (live_.empty()) return true;
    if (std::ssize(ended_) < width_) return false;
    return options_.early_stop || score(ended_.back()) >= score(live_.front());
  }

  void choose() {
    for (const Hypothesis& one : live_) give_up(one, score(one));
    for (size_t i = 1; i < ended_.size(); ++i) give_up(ended_[i], score(ended_[i]));
    const double best = score(ended_.front());
    live_.clear();
    finish(std::move(ended_.front()), best);
  }

  double score(const Hypothesis& one) const { return one.score(options_.length_exponent); }

  BeamSearch::Options options_;
  int64_t width_;                         ///< beams, or 1 once the budget is used up
  std::vector<Hypothesis> live_, ended_;  // the best first
};

}  // namespace

std::unique_ptr<Job> BeamSearch::start(GenerationRequest request, TokenTree& tree,
                                       const WalkSetting& setting,
                                       const TokenCallback& on_token) const {
  return std::make_unique<BeamJob>(std::move(request), tree, setting, on_token, options_);
}

StrategyEntry BeamSearch::entry() {
  return {"the most likely whole answers, found by beam search; the sampler chooses nothing",
          [](ParamReader& params) {
            Options options;
            options.beams =
                params.integer("beams", options.beams, {.min = 1, .max = 256}, "hypotheses", "");
            options.length_exponent =
                params.number("length_exponent", 1, {.min = -10, .max = 10}, "",
                              "a score is the sum of ln p over the length to this power");
            options.early_stop =
                params.boolean("early_stop", false, "stop when `beams` answers have ended");
            return std::make_unique<BeamSearch>(options);
          }};
}

}  // namespace surprisal
