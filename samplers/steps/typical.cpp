#include "samplers/steps/typical.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace surprisal {
namespace {

struct Deviation {
  double distance;  ///< |-ln p - H|
  Candidates::Ranked candidate;

  bool operator<(const Deviation& other) const {
    return distance != other.distance ? distance < other.distance
                                      : candidate.token < other.candidate.token;
  }
};

/// Deviations in ascending order, sorted as far as they are asked for.
class Ascending {
 public:
  /// @param end  what lies as far or farther is not to be had
  explicit Ascending(std::vector<Deviation> all,
                     double end = std::numeric_limits<double>::infinity())
      : all_(std::move(all)), end_(end) {}

  bool is_whole() const { return end_ == std::numeric_limits<double>::infinity(); }

  /// The i-th, i at most one more than last time; null at the end.
  const Deviation* at(size_t i) {
    if (i == sorted_) sort_more();
    return i < all_.size() && all_[i].distance < end_ ? &all_[i] : nullptr;
  }

 private:
  void sort_more() {
    const auto from = all_.begin() + static_cast<ptrdiff_t>(sorted_);
    sorted_ = std::min(all_.size(), std::max(RowCache::kLongest, 4 * sorted_));
    const auto to = all_.begin() + static_cast<ptrdiff_t>(sorted_);
    if (to != all_.end()) std::nth_element(from, to, all_.end());
    std::sort(from, to);
  }

  std::vector<Deviation> all_;
  double end_;
  size_t sorted_ = 0;
};

class Typical : public ChainStep {
 public:
  Typical(double p, size_t min_keep, bool llama) : p_(p), min_keep_(min_keep), llama_(llama) {}

  void apply(Candidates& candidates, const StepContext&, SamplerState*) const override {
    if (p_ >= 1) return;
    const DistributionStatistics& row = candidates.statistics();
    const double log_sum_exp = row.log_sum_exp, entropy = row.entropy;
    const auto deviation = [&](TokenId token, double logit) {
      return Deviation{std::abs(log_sum_exp - logit - entropy), {token, logit}};
    };
    std::vector<Deviation> order;
    if (candidates.is_wide()) {
      // Of the most likely, those nearer than the last, which must be less likely than e^-H: all
      // others lie at least as far as that.
      for (const auto& [token, logit] : candidates.top(RowCache::kLongest))
        order.push_back(deviation(token, logit));
      const double end = log_sum_exp - order.back().candidate.logit - entropy;
      const auto kept = nearest(Ascending(std::move(order), end), log_sum_exp);
      if (kept) return candidates.keep_ranked(*kept);
      order.clear();
    }
    order.reserve(candidates.size());
    candidates.for_each(
        [&](TokenId token, double logit) { order.push_back(deviation(token, logit)); });
    candidates.keep_ranked(*nearest(Ascending(std::move(order)), log_sum_exp));
  }

 private:
  /// What is kept, nearest first; nothing if that depends on what is not to be had.
  std::optional<std::vector<Candidates::Ranked>> nearest(Ascending order,
                                                         double log_sum_exp) const {
    std::vector<Candidates::Ranked> kept;
    double mass = 0, last = 0;  // the distance at which the mass was reached
    while (const Deviation* next = order.at(kept.size())) {
      const bool is_enough = llama_ ? mass > p_ : mass >= p_ && next->distance != last;
      if (is_enough && kept.size() >= min_keep_) return kept;
      if (mass < p_ || kept.empty()) last = next->distance;
      mass += std::exp(next->candidate.logit - log_sum_exp);
      kept.push_back(next->candidate);
    }
    if (!order.is_whole()) return std::nullopt;
    return kept;
  }

  double p_;
  size_t min_keep_;
  bool llama_;
};

}  // namespace

StepEntry typical_step() {
  return {
      StepStage::kTruncate, "by ascending |-ln p - H|, until a mass of p (arXiv 2202.00666)", "p",
      [](ParamReader& params, const StepBuild& build) {
        const double p = params.number("p", 1, {.min = 0, .max = 1}, "", "mass to keep; 1 is off");
        return std::make_unique<Typical>(p, read_min_keep(params),
                                         build.dialect == Dialect::kLlama);
      },
      "llama stops once the mass exceeds p, hf and vllm once it reaches p, with all "
      "equally far from H"};
}

}  // namespace surprisal
