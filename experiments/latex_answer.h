#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace surprisal {

/// What stands in the last \boxed{...} or \fbox{...} of a solution, or behind the last "\boxed " up
/// to a dollar sign. nullopt when there is none, or when its braces never close.
/// Ref: lm-evaluation-harness 0.4.13, tasks/hendrycks_math/utils.py (last_boxed_only_string,
/// remove_boxed; for \fbox the latter fails there and here its content counts).
std::optional<std::string> last_boxed(std::string_view text);

/// The MATH benchmark's spelling of a LaTeX answer: no spaces, \left, \right, degrees, dollar
/// signs, per cent signs or units on the right; \dfrac12, 1/2 and 0.5 become \frac{1}{2}; \sqrt3
/// becomes \sqrt{3}; "x = 5" becomes "5". nullopt where the reference gives up (an unfinished
/// \frac, a quotient of something other than integers). Ref: Hendrycks et al. 2021;
/// lm-evaluation-harness 0.4.13, tasks/hendrycks_math/utils.py (strip_string).
std::optional<std::string> normalise_latex(std::string_view text);

/// Whether two answers are the same in that spelling; where one has none, whether they are the same
/// text (is_equiv of the same file).
bool latex_equal(std::string_view one, std::string_view other);

}  // namespace surprisal
