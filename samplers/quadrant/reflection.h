#pragma once

#include <algorithm>
#include <cstdint>

#include "samplers/quadrant/config.h"

namespace surprisal {

/// The memory of inserted thoughts: whether one is being followed, and when the next may come.
class Reflection {
 public:
  explicit Reflection(const ThinkRule& rule) : cooldown_left_(rule.first_after) {}

  bool is_active() const { return active_; }

  /// Whether the pace allows another one; not asked while one is active.
  bool may_insert(const ThinkRule& rule, int64_t remaining_tokens) const {
    return cooldown_left_ == 0 && insertions_ < rule.max_per_answer &&
           remaining_tokens > static_cast<int64_t>(rule.tokens.size());
  }

  void begin() {
    active_ = true;
    length_ = calm_ = 0;
    ++insertions_;
  }

  /// A token was decided upon. @param calm  whether what it was decided upon shows confidence
  void step(const ThinkRule& rule, bool calm) {
    if (!active_) {
      cooldown_left_ = std::max<int64_t>(0, cooldown_left_ - 1);
      return;
    }
    ++length_;
    calm_ = calm ? calm_ + 1 : 0;
    if (calm_ < rule.calm_tokens && length_ < rule.cap) return;
    active_ = false;
    cooldown_left_ = rule.cooldown;
  }

  /// After a rewind: what was spent stays spent.
  void keep_ledger(const Reflection& latest) {
    insertions_ = std::max(insertions_, latest.insertions_);
    cooldown_left_ = std::max(cooldown_left_, latest.cooldown_left_);
  }

 private:
  bool active_ = false;
  int64_t length_ = 0;  ///< tokens of this reflection
  int64_t calm_ = 0;    ///< the last so many were calm
  int64_t insertions_ = 0;
  int64_t cooldown_left_;
};

}  // namespace surprisal
