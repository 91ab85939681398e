#pragma once

#include <string>
#include <vector>

#include "experiments/statistics/proportion.h"

namespace surprisal {

/// Columns of equal width: the first `text_columns` to the left, the figures behind them to the
/// right. Every line ends in a newline. UTF-8 is counted in bytes, so keep to ASCII.
std::string aligned_table(const std::vector<std::vector<std::string>>& rows, size_t text_columns);

/// "12.50"; "-" for a number that is not finite.
std::string fixed(double value, int digits);
/// The same with its sign: "+1.3", "-0.2", "0.0".
std::string signed_fixed(double value, int digits);
/// "43.5 [38.0, 49.1]": a share and its interval in hundredths.
std::string percent_text(const Proportion& share);
/// "0.0312", "0.00002", "< 1e-12"
std::string p_value_text(double p);

}  // namespace surprisal
