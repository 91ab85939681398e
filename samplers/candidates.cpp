#include "samplers/candidates.h"

#include <algorithm>

#include "lib/error.h"
#include "lib/top_logits.h"

namespace surprisal {

Candidates::Candidates(std::span<const float> row, const DistributionStatistics& statistics,
                       RowCache* shared)
    : values_(row),
      shared_(shared),
      noise_(shared != nullptr ? shared : &own_),
      size_(static_cast<size_t>(statistics.support)),
      maximum_(row[static_cast<size_t>(statistics.argmax)]),
      statistics_(statistics) {}

const DistributionStatistics& Candidates::statistics() const {
  if (statistics_) return *statistics_;
  if (cut_) {
    std::vector<float> kept;
    kept.reserve(size_);
    for (size_t i = 0; i < values_.size(); ++i)
      if (holds(i)) kept.push_back(values_[i]);
    statistics_ = distribution_statistics(kept, scale_);
    statistics_->argmax = top(1)[0].token;
  } else {
    statistics_ =
        is_row() ? order().statistics(values_, scale_) : distribution_statistics(values_, scale_);
    statistics_->argmax = token(static_cast<size_t>(statistics_->argmax));
  }
  return *statistics_;
}

double Candidates::log_sum_exp() const {
  if (statistics_ || !is_wide()) return statistics().log_sum_exp;
  return buckets().log_sum_exp(scale_, size_);
}

std::optional<size_t> Candidates::nucleus(double p) const {
  if (!is_wide()) return std::nullopt;
  return buckets().nucleus(scale_, p, size_);
}

std::span<const Candidates::Ranked> Candidates::top(size_t count) const {
  count = std::min(count, size_);
  if (ranked_.size() < count) {
    ranked_.clear();
    std::vector<RankedLogit> own;
    const auto found = is_row() ? order().top(values_, count)
                                : std::span<const RankedLogit>(own = top_logits(values_, count));
    for (const auto& [index, value] : found.first(std::min(found.size(), size_)))
      ranked_.push_back({token(static_cast<size_t>(index)), scale_ * value});
  }
  return std::span(ranked_).first(count);
}

void Candidates::keep_top(size_t count) {
  if (count >= size_) return;
  if (is_wide() && count > RowCache::kLongest) return cut_to(count);
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
  if (is_wide()) {  // the most likely may say it all
    for (const size_t look : {RowCache::kFewest, RowCache::kLongest}) {
      const auto ranked = top(look);
      const auto below = std::ranges::find_if(
          ranked, [&](const Ranked& candidate) { return candidate.logit < threshold; });
      if (below != ranked.end())
        return keep_top(std::max(min_keep, static_cast<size_t>(below - ranked.begin())));
    }
    return keep_top(std::max(min_keep, buckets().count_from(scale_, threshold)));
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
  ranked_.clear();  // a product of another factor now, whoever asked before
  statistics_.reset();
}

void Candidates::cut_to(size_t count) {
  const auto [logit, equal, splits_tie] = buckets().last_of(count);
  size_t last = values_.size();
  if (splits_tie)  // the lower ids stay
    for (size_t i = 0, found = 0; found < equal; ++i)
      if (values_[i] == logit) {
        last = i;
        ++found;
      }
  cut_ = Cut{logit, last};
  size_ = count;
  statistics_.reset();
  if (ranked_.size() > count) ranked_.resize(count);
}

void Candidates::list_cut() {
  if (cut_) keep_if([](TokenId, double) { return true; });
}

void Candidates::replace(std::vector<TokenId> tokens, std::vector<float> values) {
  tokens_ = std::move(tokens);
  owned_ = std::move(values);
  values_ = owned_;
  shared_ = nullptr;
  own_ = {};
  cut_.reset();
  statistics_.reset();
  ranked_.clear();
  size_ = owned_.size() - static_cast<size_t>(std::count(owned_.begin(), owned_.end(), kRemoved));
  if (size_ == 0)
    throw Error(ErrorCode::kNumeric, "every token is banned or removed; none can be chosen");
  maximum_ = *std::max_element(owned_.begin(), owned_.end());
}

}  // namespace surprisal
