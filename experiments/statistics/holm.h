#pragma once

#include <span>
#include <vector>

namespace surprisal {

/// Holm's adjusted p-values of a family of tests, in the order given: reject those at or below α
/// and the chance of any false rejection is at most α, whatever depends on what.
///   sorted:  adjusted_(i) = max over j <= i of min(1, (m - j + 1) p_(j))
/// @throws Error(kInternal) on a p outside [0, 1]
/// Ref: Holm, Scandinavian Journal of Statistics 1979.
std::vector<double> holm_adjusted(std::span<const double> p_values);

}  // namespace surprisal
