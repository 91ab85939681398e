#pragma once

#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "samplers/entropix/defects.h"
#include "samplers/entropix/jax_random.h"
#include "samplers/sampler.h"

namespace surprisal {

/// The generator that v2_torch draws from: torch.Generator().manual_seed(1337), made once, which is
/// why a request carries it. Ref: torch/csrc CPUGeneratorImpl (mt19937), uniform_real_distribution.
struct TorchGenerator : SamplerState {
  std::unique_ptr<SamplerState> clone() const override {
    return std::make_unique<TorchGenerator>(*this);
  }
  std::mt19937 engine{1337};
};

/// Where an Entropix variant takes the q of its races argmax p_i / q_i from.
struct RaceNoise {
  bool uniform = false;                 ///< q ~ U[0, 1) instead of Exp(1)
  TorchGenerator* generator = nullptr;  ///< v2_torch's, or
  const Draws* draws = nullptr;         ///< the position's own; neither: JAX's PRNGKey(1337)

  /// The q of one race.
  /// @param draw    which of several draws of this token; absent: the only one (JAX splits its key
  ///                only where there are several)
  /// @param draws_of_token  how many there are
  /// @param tokens  the candidates, least likely first; a position's own draws belong to the token
  std::vector<float> race(std::optional<size_t> draw, size_t draws_of_token,
                          const std::vector<TokenId>& tokens) const;
};

}  // namespace surprisal
