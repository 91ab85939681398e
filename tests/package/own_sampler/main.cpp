// The README's sampler in a program of one's own. Both included files are cut out of README.md by
// install_and_use.cmake: the class, and the row that registers it.
#include <lib/distribution.h>

#include <array>
#include <iostream>

#include "readme_class.h"
#include "readme_row.h"

int main() {
  auto samplers = builtin_samplers();
  add_readme_sampler(samplers);
  const auto yaml = YAML::Load("{type: hesitant, entropy_cut: 0.5}");
  const auto sampler = create_sampler(samplers, yaml, "sampler 'mine'", "main.cpp", {}, nullptr);

  const auto choose = [&](const std::array<float, 3>& logits) {
    const auto statistics = distribution_statistics(logits);
    const StepView view{.logits = logits, .statistics = &statistics};
    const auto decision = sampler->decide(view, nullptr, Draws(draws_key(0, "a question", 0), 7));
    return std::get<Emit>(decision.action).token;
  };
  std::cout << "hesitant: sure of token " << choose({0, 9, 0}) << "; unsure, it drew token "
            << choose({1, 1, 1}) << "\n";
}
