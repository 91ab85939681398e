#include "experiments/strategies/entropy_gated.h"

#include <algorithm>
#include <utility>

#include "experiments/strategies/search.h"
#include "lib/error.h"
#include "samplers/greedy.h"

namespace surprisal {
namespace {

class GatedJob : public Search {
 public:
  GatedJob(GenerationRequest request, TokenTree& tree, const WalkSetting& setting,
           const TokenCallback& on_token, const EntropyGated::Options& options)
      : Search(std::move(request), tree, setting, on_token), options_(options) {
    begin_step(root());
  }

  std::vector<TokenNode*> waiting_at() override {
    std::vector<TokenNode*> nodes;
    for (const Growing& one : growing_)
      if (!one.is_done) nodes.push_back(&one.hypothesis.walk.node());
    return nodes;
  }

 private:
  /// A hypothesis in the middle of a step.
  struct Growing {
    Hypothesis hypothesis;
    size_t place = 0;         ///< among those of the step, in an order that no batch changes
    int64_t begin = 0;        ///< tokens it had when the step began
    int64_t passes = 0;       ///< of the step so far
    bool has_parted = false;  ///< in this step
    bool is_done = false;     ///< with this step
  };

  bool go_on() override {
    bool is_waiting = false;
    for (size_t i = 0; i < growing_.size(); ++i) {  // branches are added at the end
      while (!growing_[i].is_done && is_known(growing_[i].hypothesis)) extend(i);
      is_waiting = is_waiting || !growing_[i].is_done;
    }
    if (is_waiting) return false;
    end_step();
    return true;
  }

  /// One token further; where it parts, its place is taken by the first branch.
  void extend(size_t index) {
    Growing& one = growing_[index];
    Walk& walk = one.hypothesis.walk;
    if (ledger_.visit(walk.node())) ++one.passes;
    StepView view = walk.view(request_.sampler->needs());
    view.may_branch = view.may_inject = view.may_rewind = false;
    const bool is_forced = is_first_step_ && options_.expand_first;
    const bool is_due = is_forced || view.statistics->entropy > options_.threshold;
    if (is_due && !one.has_parted && may_spend()) return part(index, view);
    const Draws draws(request_.draws_key, static_cast<uint32_t>(walk.position()),
                      one.hypothesis.path);
    const Decision decision = request_.sampler->decide(view, one.hypothesis.state.get(), draws);
    if (const auto* emit = std::get_if<Emit>(&decision.action))
      return put(one, emit->token, decision);
    if (!std::holds_alternative<Stop>(decision.action))
      throw Error(ErrorCode::kConfig,
                  "strategy entropy_gated: its sampler must only choose tokens (use greedy or a "
                  "chain)");
    one.hypothesis.ended = StopReason::kSampler;
    one.is_done = true;
  }

  void part(size_t index, const StepView& view) {
    const Growing from = {.hypothesis = copy(growing_[index].hypothesis),
                          .place = growing_[index].place,
                          .begin = growing_[index].begin,
                          .passes = growing_[index].passes};
    const auto ranked = view.top(static_cast<size_t>(options_.expansions));
    for (size_t rank = 0; rank < ranked.size(); ++rank) {
      Growing branch = {.hypothesis = copy(from.hypothesis),
                        .place = from.place + rank,
                        .begin = from.begin,
                        .passes = from.passes,
                        .has_parted = true};
      branch.hypothesis.path = first_path_ + static_cast<uint32_t>(branch.place);
      const TokenId token = ranked[rank].index;
      put(branch, token, forced_decision(view, token, ActionKind::kBranch));
      if (rank == 0)
        growing_[index] = std::move(branch);
      else
        growing_.push_back(std::move(branch));
    }
  }

  static Hypothesis copy(const Hypothesis& one) {
    return {.walk = one.walk,
            .state = one.state ? one.state->clone() : nullptr,
            .path = one.path,
            .logprob = one.logprob,
            .scored = one.scored};
  }

  void put(Growing& one, TokenId token, const Decision& decision) {
    take(one.hypothesis, token, decision);
    request_.sampler->observe(token, TokenSource::kBranch, one.hypothesis.state.get());
    const Walk& walk = one.hypothesis.walk;
    one.is_done = one.hypothesis.ended || walk.text().text().ends_with('\n') ||
                  std::ssize(walk.records()) - one.begin >= options_.step_tokens;
  }

  void begin_step(Hypothesis hypothesis) {
    const int64_t length = std::ssize(hypothesis.walk.records());
    const size_t place = growing_.size() * static_cast<size_t>(options_.expansions);
    growing_.push_back({.hypothesis = std::move(hypothesis), .place = place, .begin = length});
  }

  void end_step() {
    int64_t passes = 0;
    for (const Growing& one : growing_) passes = std::max(passes, one.passes);
    ledger_.step(passes);
    is_first_step_ = false;
    first_path_ += static_cast<uint32_t>(answers());
    std::ranges::sort(growing_, {}, &Growing::place);
    std::ranges::stable_sort(growing_, std::ranges::greater(), score);
    const auto beams = static_cast<size_t>(may_spend() ? options_.beams : 1);
    std::vector<Growing> grown = std::exchange(growing_, {});
    for (Growing& one : grown) {
      if (one.hypothesis.ended)
        ended_.push_back(std::move(one));
      else if (growing_.size() < beams)
        begin_step(std::move(one.hypothesis));
      else
        give_up(one.hypothesis, score(one));
    }
    if (growing_.empty() || ended_.size() >= beams) choose();
  }

  void choose() {
    for (const Growing& one : growing_) give_up(one.hypothesis, score(one));
    growing_.clear();
    std::ranges::stable_sort(ended_, std::ranges::greater(), score);
    for (size_t i = 1; i < ended_.size(); ++i) give_up(ended_[i].hypothesis, score(ended_[i]));
    const double best = score(ended_.front());
    finish(std::move(ended_.front().hypothesis), best);
  }

  int64_t answers() const { return options_.expansions * options_.beams; }
  static double score(const Growing& one) { return one.hypothesis.score(); }

  EntropyGated::Options options_;
  std::vector<Growing> growing_, ended_;
  bool is_first_step_ = true;
  uint32_t first_path_ = 1;  ///< of the branches of this step
};

}  // namespace

std::unique_ptr<Job> EntropyGated::start(GenerationRequest request, TokenTree& tree,
                                         const WalkSetting& setting,
                                         const TokenCallback& on_token) const {
  return std::make_unique<GatedJob>(std::move(request), tree, setting, on_token, options_);
}

StrategyEntry EntropyGated::entry() {
  return {"parts where the entropy is high, keeps the likeliest beams step by step (EGB)",
          [](ParamReader& params) {
            Options options;
            const Range count{.min = 1, .max = 256};
            options.threshold = params.number("threshold", 2, {.min = 0}, "nats",
                                              "parts at the first place of a step above this");
            options.expansions = params.integer("expansions", 5, {.min = 2, .max = 256}, "tokens",
                                                "into which a hypothesis parts");
            options.beams =
                params.integer("beams", 3, count, "hypotheses", "that go on after a step");
            options.step_tokens = params.integer("step_tokens", 128, {.min = 1, .max = 1e6},
                                                 "tokens", "a step without a line break");
            options.expand_first =
                params.boolean("expand_first", true, "part at the very first token in any case");
            return std::make_unique<EntropyGated>(options);
          }};
}

}  // namespace surprisal
