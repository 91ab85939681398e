// A sampler of one's own: a class, a table row, a main. No line of Surprisal is changed for it.
#include <lib/distribution.h>
#include <samplers/sampler.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <numeric>

namespace {

using namespace surprisal;

/// Tosses a fair coin between the two most likely tokens when the entropy exceeds a cut.
class TwoBest : public Sampler {
 public:
  explicit TwoBest(ParamReader& parameters)
      : entropy_cut_(parameters.number("entropy_cut", 1.0, {.min = 0}, "nats", "toss above this")) {
  }

  Decision decide(const StepView& view, SamplerState*, const Draws& draws) const override {
    std::vector<TokenId> order(view.logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + 2, order.end(), [&](TokenId a, TokenId b) {
      return view.logits[static_cast<size_t>(a)] > view.logits[static_cast<size_t>(b)];
    });
    const bool toss = view.statistics->entropy > entropy_cut_;
    Decision decision;
    decision.action = Emit{order[toss && draws.uniform(0) < 0.5 ? 1 : 0]};
    decision.state = toss ? State::kHighLow : State::kLowLow;
    decision.kept = toss ? 2 : 1;
    return decision;
  }

 private:
  double entropy_cut_;
};

}  // namespace

int main() {
  auto samplers = builtin_samplers();
  samplers.add("two_best", {"a fair coin between the two best tokens",
                            [](ParamReader& parameters, const SamplerContext&) {
                              return std::make_unique<TwoBest>(parameters);
                            }});
  const auto yaml = YAML::Load("{type: two_best, entropy_cut: 0.1}");
  const auto sampler =
      create_sampler(samplers, yaml, "sampler 'two_best'", "main.cpp", {}, nullptr);

  const std::array<float, 4> logits = {0.0F, -1.0F, 3.0F, -9.0F};
  const auto statistics = distribution_statistics(logits);
  const auto decision = sampler->decide({.logits = logits, .statistics = &statistics}, nullptr,
                                        Draws(draws_key(0, "a question", 0), 7));
  std::cout << "'two_best' chose token " << std::get<Emit>(decision.action).token << " at entropy "
            << statistics.entropy << "\n";
}
