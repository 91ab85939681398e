#include "samplers/candidates.h"

#include <algorithm>

#include "lib/error.h"

namespace surprisal {

Candidates::Candidates(std::span<const float> row, const DistributionStatistics& statistics,
                       RowCache* shared)
    : values_(row),
      shared_(shared),
      size_(static_cast<size_t>(statistics.support)),
      maximum_(row[static_cast<size_t>(statistics.argmax)]),
      statistics_(statistics) {}

const DistributionStatistics& Candidates::statistics() const {
  if (!statistics_) {
    statistics_ = shared_ != nullptr && is_whole_row() ? shared_->statistics(values_, scale_)
                                                       : distribution_statistics(values_, scale_);
    statistics_->argmax = token(static_cast<size_t>(statistics_->argmax));
  }
  return *statistics_;
}

std::span<const Candidates::Ranked> Candidates::top(size_t count) const {
  count = std::min(count, size_);
  if (ranked_.size() < count) {
    ranked_.clear();
    std::vector<RankedLogit> own;
    std::span<const RankedLogit> found;
    if (shared_ != nullptr && is_whole_row())
      found = shared_->top(values_, count);
    else
      found = own = top_logits(values_, count);
    for (const auto& [index, value] : found)
      ranked_.push_back({token(static_cast<size_t>(index)), scale_ * value});
  }
  return std::span(ranked_).first(count);
}

void Candidates::keep_top(size_t count) {
  if (count >= size_) return;
  const auto kept = top(count);
  std::vector<Ranked> ranked(kept.begin(), kept.end());
  keep_ranked(ranked);
  ranked_ = std::move(ranked);
}

void Candidates::keep_ranked(std::span<const Ranked> ranked) {
  std::vector<TokenId> tokens;
  std::vector<float> values;
  for (const auto& [token, logit] : ranked) {
    tokens.push_back(token);
    values.push_back(static_cast<float>(logit / scale_));  // exactly the float it came from
  }
  replace(std::move(tokens), std::move(values));
}

void Candidates::keep_from(double threshold, size_t min_keep) {
  if (shared_ != nullptr && is_whole_row()) {  // the known top may say it all
    top(1);
    const auto above = std::find_if(ranked_.begin(), ranked_.end(), [&](const Ranked& candidate) {
      return candidate.logit < threshold;
    });
    if (above != ranked_.end())
      return keep_top(std::max(min_keep, static_cast<size_t>(above - ranked_.begin())));
  }
  size_t count = 0;
  for_each([&](TokenId, double logit) { count += logit >= threshold; });
  if (count < min_keep)
    keep_top(min_keep);
  else if (count < size_)
    keep_if([&](TokenId, double logit) { return logit >= threshold; });
}

void Candidates::heat(double temperature) {
  if (temperature == 1) return;
  scale_ /= temperature;
  for (Ranked& candidate : ranked_) candidate.logit /= temperature;
  statistics_.reset();
}

void Candidates::replace(std::vector<TokenId> tokens, std::vector<float> values) {
  tokens_ = std::move(tokens);
  owned_ = std::move(values);
  values_ = owned_;
  statistics_.reset();
  ranked_.clear();
  size_ = owned_.size() - static_cast<size_t>(std::count(owned_.begin(), owned_.end(), kRemoved));
  if (size_ == 0)
    throw Error(ErrorCode::kNumeric, "every token is banned or removed; none can be chosen");
  maximum_ = *std::max_element(owned_.begin(), owned_.end());
}

}  // namespace surprisal
