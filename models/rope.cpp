#include "models/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace surprisal {
namespace {

/// base^(2i/D) for i < D/2, in float32 as transformers does.
at::Tensor position_frequencies(double base, int64_t dim) {
  const at::Tensor exponents = at::arange(0, dim, 2, at::kLong).to(at::kFloat) / dim;
  return at::pow(base, exponents);
}

at::Tensor llama3(const at::Tensor& inv_freq, const RopeConfig& rope) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const at::Tensor wavelength = 2 * M_PI / inv_freq;
  const at::Tensor is_long = wavelength > original / rope.low_freq_factor;
  const at::Tensor is_short = wavelength < original / rope.high_freq_factor;
  const at::Tensor smooth = (original / wavelength - rope.low_freq_factor) /
                            (rope.high_freq_factor - rope.low_freq_factor);
  const at::Tensor between = (1 - smooth) * inv_freq / rope.factor + smooth * inv_freq;
  return at::where(is_long, inv_freq / rope.factor, at::where(is_short, inv_freq, between));
}

/// Ref: Peng et al., "YaRN", arXiv 2309.00071, section 3.2; constants as transformers reads them.
at::Tensor yarn(const RopeConfig& rope, int64_t dim) {
  const auto correction = [&](double rotations) {
    const auto original = static_cast<double>(rope.original_max_position_embeddings);
    return static_cast<double>(dim) * std::log(original / (rotations * 2 * M_PI)) /
           (2 * std::log(rope.theta));
  };
  double low = correction(rope.beta_fast), high = correction(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor ramp = at::clamp((at::arange(dim / 2, at::kFloat) - low) / (high - low), 0, 1);
  const at::Tensor frequencies = position_frequencies(rope.theta, dim);
  const at::Tensor extrapolated = 1.0 / frequencies;
  const at::Tensor interpolated = 1.0 / (rope.factor * frequencies);
  const at::Tensor keep = 1 - ramp;
  return interpolated * (1 - keep) + extrapolated * keep;
}

}  // namespace

at::Tensor RotaryEmbedding::inverse_frequencies(const ModelConfig& config, int64_t length) {
  const RopeConfig& rope = config.rope;
  const int64_t dim = config.head_dim;
  switch (rope.type) {
    case RopeConfig::Type::kLinear:
      return 1.0 / position_frequencies(rope.theta, dim) / rope.factor;
    case RopeConfig::Type::kDynamic: {
      const auto trained = static_cast<double>(config.max_position_embeddings);
      const double sequence = std::max(static_cast<double>(length), trained);
      const double base =
          rope.theta * std::pow(rope.factor * sequence / trained - (rope.factor - 1),
                                static_cast<double>(dim) / static_cast<double>(dim - 2));
      return 1.0 / position_frequencies(base, dim);
    }
    case RopeConfig::Type::kLlama3:
      return llama3(1.0 / position_frequencies(rope.theta, dim), rope);
    case RopeConfig::Type::kYarn:
      return yarn(rope, dim);
    case RopeConfig::Type::kDefault:
      break;
  }
  return 1.0 / position_frequencies(rope.theta, dim);
}

double RotaryEmbedding::attention_scaling(const RopeConfig& rope) {
  if (rope.type != RopeConfig::Type::kYarn) return 1;
  if (rope.attention_factor != 0) return rope.attention_factor;
  const auto scale = [&](double mscale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(rope.factor) + 1.0;
  };
  if (rope.mscale != 0 && rope.mscale_all_dim != 0)
    return scale(rope.mscale) / scale(rope.mscale_all_dim);
  return scale(1);
}

RotaryEmbedding::RotaryEmbedding(const ModelConfig& config, at::Device device)
    : config_(config),
      device_(device),
      inv_freq_(inverse_frequencies(config, 0).to(device)),
      scaling_(attention_scaling(config.rope)) {}

RotaryEmbedding::Rotation RotaryEmbedding::at_positions(std::span<const Range> rows,
                                                        at::ScalarType dtype) const {
  std::vector<int64_t> positions;
  for (const Range& row : rows)
    for (int64_t i = 0; i < row.count; ++i) positions.push_back(row.first + i);
  const auto total = static_cast<int64_t>(positions.size());
  const at::Tensor position =
      at::from_blob(positions.data(), {total, 1}, at::kLong).to(device_, at::kFloat);  // [N, 1]
  at::Tensor angles = position * inv_freq_;                                            // [N, D/2]
  if (config_.rope.type == RopeConfig::Type::kDynamic) {
    int64_t begin = 0;
    for (const Range& row : rows) {
      const int64_t length = row.first + row.count;
      if (length > config_.max_position_embeddings)
        angles.narrow(0, begin, row.count)
            .copy_(position.narrow(0, begin, row.count) *
                   inverse_frequencies(config_, length).to(device_));
      begin += row.count;
    }
  }
  angles = at::cat({angles, angles}, -1).unsqueeze(1);  // [N, 1, D]
  return {(angles.cos() * scaling_).to(dtype), (angles.sin() * scaling_).to(dtype)};
}

at::Tensor rotate(const at::Tensor& x, const RotaryEmbedding::Rotation& rotation) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor turned = at::cat({-x.slice(-1, half), x.slice(-1, 0, half)}, -1);
  return x * rotation.cos + turned * rotation.sin;
}

}  // namespace surprisal
