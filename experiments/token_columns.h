#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "experiments/sample.h"

namespace surprisal {

/// Name, unit and meaning of a column, as traces carry them.
struct ColumnDoc {
  std::string_view name;
  std::string_view unit;
  std::string_view description;
};

/// Names of an enumeration's values 0, 1, ..., as traces carry them; empty for other types.
template <typename T>
constexpr std::span<const std::string_view> value_names() {
  if constexpr (std::is_same_v<T, TokenSource>) return kSourceNames;
  if constexpr (std::is_same_v<T, State>) return kStateNames;
  if constexpr (std::is_same_v<T, ActionKind>) return kActionNames;
  if constexpr (std::is_same_v<T, Gate>) return kGateNames;
  if constexpr (std::is_same_v<T, StopReason>) return kStopReasonNames;
  if constexpr (std::is_same_v<T, EventKind>) return kEventNames;
  return {};
}

/// Calls visit(ColumnDoc, pointer to the member) for every scalar of a TokenRecord but `node`, in
/// the order of /tokens. The one list behind the spool, traces.h5, exports and signatures.
template <typename Visit>
void for_each_token_column(Visit&& visit) {
  using T = TokenRecord;
  visit(ColumnDoc{"position", "tokens", "place in the context, from the prompt's first token"},
        &T::position);
  visit(ColumnDoc{"attempt", "", "how often a rewind had returned to this position"}, &T::attempt);
  visit(ColumnDoc{"token_id", "", "the token that entered the context"}, &T::token_id);
  visit(ColumnDoc{"source", "", "who put the token there"}, &T::source);
  visit(ColumnDoc{"state", "", "the sampler's view of the distribution"}, &T::state);
  visit(ColumnDoc{"action", "", "what was done for this row"}, &T::action);
  visit(ColumnDoc{"gate", "", "what stood between state and action"}, &T::gate);
  visit(ColumnDoc{"entropy", "nat", "of the raw distribution that preceded the token"},
        &T::entropy);
  visit(ColumnDoc{"varentropy", "nat^2", "variance of the surprisal there"}, &T::varentropy);
  visit(ColumnDoc{"max_probability", "1", "of the most likely token there"}, &T::max_probability);
  visit(ColumnDoc{"second_probability", "1", "of the second most likely token there"},
        &T::second_probability);
  visit(ColumnDoc{"logprob", "nat", "ln p of the token in the raw distribution"}, &T::logprob);
  visit(ColumnDoc{"rank", "", "of the token there; 0 = most likely, ties: lower id first"},
        &T::rank);
  visit(ColumnDoc{"sampling_logprob", "nat",
                  "ln p of the token in the distribution drawn from; NaN where nothing was drawn"},
        &T::sampling_logprob);
  visit(ColumnDoc{"kept", "tokens", "tokens with probability > 0 in the distribution drawn from"},
        &T::kept);
  visit(ColumnDoc{"temperature", "1", "that the distribution drawn from had; 0 = argmax"},
        &T::temperature);
  visit(ColumnDoc{"decision_entropy", "the sampler's", "as the sampler itself computed it"},
        &T::decision_entropy);
  visit(ColumnDoc{"decision_varentropy", "the sampler's", "as the sampler itself computed it"},
        &T::decision_varentropy);
  visit(ColumnDoc{"threshold_margin", "the sampler's",
                  "signed distance to the nearest threshold; > 0: above it"},
        &T::threshold_margin);
  visit(ColumnDoc{"attention_entropy", "nat", "mean over layers and heads; NaN: not recorded"},
        &T::attention_entropy);
  visit(ColumnDoc{"attention_varentropy", "nat^2", "mean over layers and heads; NaN: not recorded"},
        &T::attention_varentropy);
  visit(ColumnDoc{"attention_agreement", "1",
                  "1 - mean total-variation distance to the mean head, mean over layers"},
        &T::attention_agreement);
  visit(ColumnDoc{"attention_sink", "1", "weight on the first token, mean over layers and heads"},
        &T::attention_sink);
}

}  // namespace surprisal
