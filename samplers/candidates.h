#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "lib/distribution.h"
#include "lib/tokenizer.h"
#include "samplers/row_cache.h"

namespace surprisal {

/// The tokens a chain still considers, and their logits. It starts as a view of the whole row and
/// copies only when a step edits it: a temperature is a factor, not a pass, and a long prefix of
/// the order a cut through the row, not a list. Banned tokens (-inf) are no candidates. One
/// decision owns it; not for sharing between threads.
class Candidates {
 public:
  struct Ranked {
    TokenId token;
    double logit;
  };

  /// @param row         [V] raw logits; must outlive this object
  /// @param statistics  of `row`
  /// @param shared      what others found out about `row`, or null; must outlive this object
  Candidates(std::span<const float> row, const DistributionStatistics& statistics,
             RowCache* shared = nullptr);
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;

  size_t size() const { return size_; }
  double max_logit() const { return scale_ * maximum_; }
  /// Of the candidates' softmax; computed when first asked for after a change. Its `argmax` is a
  /// token.
  const DistributionStatistics& statistics() const;
  /// Of the candidates' logits. Cheaper than statistics() where a large row was heated or cut.
  double log_sum_exp() const;
  /// How many of the most likely reach a softmax mass of p, where that can be told without a sort.
  std::optional<size_t> nucleus(double p) const;
  /// Product of the temperatures applied so far.
  double temperature() const { return 1 / scale_; }

  /// The `count` most likely in descending order, the lower id first among equals; all of them when
  /// there are fewer. Valid until the next change.
  std::span<const Ranked> top(size_t count) const;

  /// Calls visit(token, logit) for every candidate, in no particular order.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (size_t i = 0; i < values_.size(); ++i)
      if (holds(i)) visit(token(i), scale_ * values_[i]);
  }

  /// Whether these are a large row or a prefix of its order: what does not look at each of them
  /// pays.
  bool is_wide() const { return is_row() && values_.size() > kWide; }
  /// Every candidate of a wide row whose noise is `least` or more, and perhaps others, as
  /// visit(candidate, word of the noise).
  template <typename Visit>
  void for_likely(const Draws& draws, uint32_t draw, double least, Visit visit) const {
    for (const auto& [id, word] : noise_->likely_noise(draws, draw, values_.size(), least))
      if (noise_bound(word) >= least && holds(id))
        visit(Ranked{static_cast<TokenId>(id), scale_ * values_[id]}, word);
  }

  void keep_top(size_t count);
  /// Keeps logits >= threshold, and in any case the `min_keep` most likely.
  void keep_from(double threshold, size_t min_keep);
  /// Keeps `tokens`, candidates in the order given. @param ranked  of top()
  void keep_ranked(std::span<const Ranked> ranked);
  /// Keeps the candidates for which keep(token, logit).
  /// @throws Error(kNumeric) when none would be left, here and below
  template <typename Keep>
  void keep_if(Keep keep) {
    std::vector<TokenId> tokens;
    std::vector<float> values;
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!holds(i) || !keep(token(i), scale_ * values_[i])) continue;
      tokens.push_back(token(i));
      values.push_back(values_[i]);
    }
    replace(std::move(tokens), std::move(values));
  }

  /// Divides every logit. @param temperature  > 0
  void heat(double temperature);

  /// Replaces every logit by change(token, logit); -inf removes the candidate, and what is too
  /// large for float32 becomes its largest.
  template <typename Change>
  void transform(Change change) {
    list_cut();
    std::vector<float> values(values_.begin(), values_.end());
    for (size_t i = 0; i < values.size(); ++i)
      if (values[i] != kRemoved) values[i] = to_value(change(token(i), scale_ * values[i]));
    replace(std::move(tokens_), std::move(values));
  }

  /// Likewise for some tokens only; those that are no candidates are passed over.
  /// @param changes  token -> argument of change(logit, argument)
  template <typename Argument, typename Change>
  void transform(const std::map<TokenId, Argument>& changes, Change change) {
    list_cut();
    std::vector<float> values(values_.begin(), values_.end());
    const auto apply = [&](size_t i, const Argument& argument) {
      if (values[i] != kRemoved) values[i] = to_value(change(scale_ * values[i], argument));
    };
    if (tokens_.empty()) {
      for (const auto& [token, argument] : changes)
        if (token >= 0 && static_cast<size_t>(token) < values.size())
          apply(static_cast<size_t>(token), argument);
    } else {
      for (size_t i = 0; i < tokens_.size(); ++i)
        if (const auto found = changes.find(tokens_[i]); found != changes.end())
          apply(i, found->second);
    }
    replace(std::move(tokens_), std::move(values));
  }

 private:
  static constexpr size_t kWide = 1024;
  static constexpr float kRemoved = -std::numeric_limits<float>::infinity();

  float to_value(double logit) const {
    constexpr double kLargest = std::numeric_limits<float>::max();
    const double value = logit / scale_;
    return value == -std::numeric_limits<double>::infinity()
               ? kRemoved
               : static_cast<float>(std::clamp(value, -kLargest, kLargest));
  }
  TokenId token(size_t i) const { return tokens_.empty() ? static_cast<TokenId>(i) : tokens_[i]; }
  bool holds(size_t i) const {
    return values_[i] != kRemoved &&
           (!cut_ || values_[i] > cut_->logit || (values_[i] == cut_->logit && i <= cut_->last));
  }
  /// Whether the index is the token, so that what is known of values_ as a row holds.
  bool is_row() const { return tokens_.empty(); }
  RowCache& order() const { return shared_ != nullptr ? *shared_ : own_; }
  LogitBuckets& buckets() const { return order().buckets(values_, maximum_); }
  void cut_to(size_t count);
  /// Makes a list of what is left of a cut row.
  void list_cut();
  void replace(std::vector<TokenId> tokens, std::vector<float> values);

  /// The prefix of a row's order that ends with this logit; of equal ones with this index.
  struct Cut {
    float logit;
    size_t last;
  };

  std::span<const float> values_;  ///< the row, or owned_
  std::vector<float> owned_;
  mutable RowCache own_;         ///< of values_, where nothing is shared
  RowCache* shared_;             ///< of values_, or null
  RowCache* noise_;              ///< what is known of noise
  std::vector<TokenId> tokens_;  ///< of values_; empty: the index is the token
  std::optional<Cut> cut_;
  double scale_ = 1;
  size_t size_;
  float maximum_;
  mutable std::optional<DistributionStatistics> statistics_;
  mutable std::vector<Ranked> ranked_;  ///< the most likely ones, as far as they were asked for
};

}  // namespace surprisal
