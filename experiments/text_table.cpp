#include "experiments/text_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace surprisal {

std::string aligned_table(const std::vector<std::vector<std::string>>& rows, size_t text_columns) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - row[i].size(), ' ');
      line += (i ? "  " : "") + (i < text_columns ? row[i] + padding : padding + row[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  char text[400];  // the longest double in fixed notation has 309 digits before its point
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string signed_fixed(double value, int digits) {
  const std::string text = fixed(std::abs(value), digits);
  if (text == "-" || text.find_first_not_of("0.") == std::string::npos) return text;
  return (value < 0 ? "-" : "+") + text;
}

std::string percent_text(const Proportion& share) {
  return fixed(100 * share.value, 1) + " [" + fixed(100 * share.low, 1) + ", " +
         fixed(100 * share.high, 1) + "]";
}

std::string p_value_text(double p) {
  constexpr double kSmallest = 1e-12;
  if (p < kSmallest) return "< 1e-12";
  char text[32];
  std::snprintf(text, sizeof text, p < 1e-4 ? "%.1e" : "%.4f", p);
  return text;
}

}  // namespace surprisal
